package command

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWhatIsNoConfiguration reads what an operator may name by mistake.
func TestWhatIsNoConfiguration(t *testing.T) {
	t.Parallel()
	dir, files := t.TempDir(), &source{adapter: "caddyfile"}
	for name, test := range map[string]struct{ content, says string }{
		"empty":           {"", "empty is empty"},
		"blank":           {" \n\t\n", "blank is empty"},
		"mark.json":       {"\xef\xbb\xbf{}", "begins with a byte order mark"},
		"mark":            {"\xef\xbb\xbf:80\n", "begins with a byte order mark"},
		"binary":          {"\x7fELF\x02\x01\x01\x00\x00", "is not a text"},
		"latin":           {"caf\xe9 {\n}\n", "is not a text"},
		"torn.json":       {"{\n \"apps\": {\n", "torn.json:3: not JSON: unexpected end"},
		"comma.json":      {"{\n \"apps\": {},\n}\n", "comma.json:3: not JSON: invalid character '}'"},
		"list.json":       {"[]", "list.json is JSON, and no configuration of Caddy"},
		"report.json":     {`{"hash":"57d4","apis":[]}`, `no configuration of Caddy: json: unknown field "hash"`},
		"member.json":     {`{"app":{}}`, `unknown field "app"`},
		"id.json":         {`{"@id":"me","apps":{}}`, ""},
		"number.json":     {`{"apps":{"http":{"servers":{"a":{"listen":8}}}}}`, "number.json: policy: not a configuration"},
		"Caddyfile":       {":80 {\n\tnonsense\n}\n", "Caddyfile:2"},
		"json of no name": {`{"apps":{}}`, ""},
		"good.json":       {`{"apps":{}}`, ""},
		"good":            {":80 {\n\trespond 204\n}\n", ""},
	} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := files.load(file)
		if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
			t.Errorf("%s: want %q, got %v", name, test.says, err)
		}
	}
	for _, file := range []string{dir, filepath.Join(dir, "none")} {
		if _, err := files.load(file); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", file, err)
		}
	}
}
