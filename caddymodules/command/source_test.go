package command

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// upside reads what the test writes as another language.
type upside struct{}

// Caddy keeps its adapters without a lock: all are there before a test reads.
func init() { caddyconfig.RegisterAdapter("upside", upside{}) }

// Adapt implements caddyconfig.Adapter.
func (upside) Adapt(body []byte, _ map[string]any) ([]byte, []caddyconfig.Warning, error) {
	return []byte(strings.TrimPrefix(string(body), "upside ")), nil, nil
}

// TestAdapters reads one policy in the languages that the binary has adapters of.
func TestAdapters(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, content string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	const text = `{"admin":{"listen":"localhost:1"}}`
	plain, other := file("a.json", text), file("config", "upside "+text)
	for name, test := range map[string]struct {
		adapter, file, err string
	}{
		"JSON":           {"caddyfile", plain, ""},
		"JSON, however":  {"upside", plain, ""},
		"another":        {"upside", other, ""},
		"not that":       {"caddyfile", other, "config: "},
		"no such":        {"downside", other, `no adapter "downside"`},
		"no file at all": {"upside", filepath.Join(dir, "none"), "none"},
	} {
		c, err := (&source{test.adapter}).load(test.file)
		switch {
		case test.err == "" && (err != nil || c.Admin.Listen != "localhost:1"):
			t.Errorf("%s: %v", name, err)
		case test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)):
			t.Errorf("%s: %v, want %s", name, err, test.err)
		}
	}
}
