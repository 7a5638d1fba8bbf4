package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/open-tollgate/tollgate/internal/auditlog"
)

// TestDiffExitCodes asks the built command: 0 none, 1 widened or not all compared, 2 could not run.
func TestDiffExitCodes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tollgate, err := built()
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string, routes ...object) string {
		content, err := json.Marshal(object{"apps": object{"http": object{"servers": object{"srv": object{"listen": []string{":443"}, "routes": routes}}}}})
		if err != nil {
			t.Fatal(err)
		}
		name = filepath.Join(dir, name+".json")
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	answer := object{"handle": []object{{"handler": "static_response", "status_code": 200}}}
	closed, open := file("closed"), file("open", answer)
	var many []object // header fields that are asked for one after the other: 2^13 ways
	for n := range 13 {
		many = append(many, object{"match": []object{{"header": object{fmt.Sprintf("X-F%d", n): []string{"1"}}}}, "handle": []object{{"handler": "vars", "a": "b"}}})
	}
	cut := file("many", many...)
	unknown := file("unknown", object{"match": []object{{"expression": "true"}}, "handle": []object{{"handler": "vars", "a": "b"}}})
	broken := filepath.Join(dir, "broken.json")
	if err := os.WriteFile(broken, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args []string
		code int
		says string
	}{
		"the same":             {[]string{open, open, "--fail-on", "widened"}, 0, "no difference found"},
		"widened":              {[]string{closed, open, "--fail-on", "widened"}, 1, "access is widened"},
		"widened, not asked":   {[]string{closed, open}, 0, "was refused and is let in"},
		"narrowed alone":       {[]string{open, closed, "--fail-on", "widened"}, 0, "narrowed"},
		"narrowed, asked":      {[]string{open, closed, "--fail-on", "narrowed"}, 1, "access is narrowed"},
		"too many ways":        {[]string{cut, cut, "--fail-on", "widened"}, 1, "too many ways"},
		"not analysed":         {[]string{unknown, unknown, "--fail-on", "widened"}, 1, "not analysed"},
		"incomplete in JSON":   {[]string{cut, cut, "--format", "json"}, 0, `"complete": false`},
		"incomplete, Markdown": {[]string{cut, cut, "--format", "markdown"}, 0, "**Incomplete**"},
		"no such file":         {[]string{filepath.Join(dir, "none"), open, "--fail-on", "widened"}, 2, "none"},
		"broken":               {[]string{open, broken}, 2, "JSON"},
		"one file":             {[]string{open}, 2, "accepts 2 arg"},
		"no such flag":         {[]string{open, open, "--nonsense"}, 2, "nonsense"},
		"no such direction":    {[]string{open, open, "--fail-on", "sideways"}, 2, "sideways"},
		"no direction at all":  {[]string{closed, open, "--fail-on", ""}, 2, "--fail-on names nothing"},
		"no such format":       {[]string{open, open, "--format", "xml"}, 2, "xml"},
	} {
		out, err := exec.Command(tollgate, append([]string{"policy", "diff"}, test.args...)...).CombinedOutput()
		code := 0
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			code = exit.ExitCode()
		}
		if code != test.code || !strings.Contains(string(out), test.says) {
			t.Errorf("%s: want %d and %q, got %d:\n%s", name, test.code, test.says, code, out)
		}
	}
}

// TestAuditExitCodes: a log that cannot be looked at is not one that was altered, and a word
// that no record has is a mistake, and not a log without records.
func TestAuditExitCodes(t *testing.T) {
	t.Parallel()
	tollgate, err := built()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	log, err := auditlog.Open(auditlog.Config{Dir: dir, Origin: "edge.test/audit"})
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	altered := t.TempDir()
	if err := os.CopyFS(altered, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	records := filepath.Join(altered, "0000000000000000000.records")
	text, err := os.ReadFile(records)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(records, bytes.Replace(text, []byte("started"), []byte("stopped"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	none, key, empty := filepath.Join(dir, "none"), filepath.Join(dir, "public.key"), filepath.Join(t.TempDir(), "proof.json")
	if err := os.WriteFile(empty, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args []string
		code int
		says string
	}{
		"good":               {[]string{"verify", dir}, 0, "verified: records 0 to 1"},
		"altered":            {[]string{"verify", altered}, 1, "NOT what was signed"},
		"no log":             {[]string{"verify", none}, 2, "public key"},
		"no log, with a key": {[]string{"verify", none, "--key", key}, 2, "not verified"},
		"no kept checkpoint": {[]string{"verify", dir, "--kept", none}, 2, "none"},
		"no folder at all":   {[]string{"verify"}, 2, "accepts 1 arg"},
		"no such flag":       {[]string{"verify", dir, "--nonsense"}, 2, "nonsense"},
		"no key to check by": {[]string{"check", key}, 2, "--key is needed"},
		"no proof":           {[]string{"check", key, "--key", key}, 2, "is not a proof"},
		"a proof of nothing": {[]string{"check", empty, "--key", key}, 2, "is not a proof"},
		"no such kind":       {[]string{"tail", dir, "--kind", "chnage"}, 1, `--kind "chnage" is not decision, config, change`},
		"less than none":     {[]string{"tail", dir, "-n", "-3"}, 1, "is no number of records"},
		"nobody's pseudonym": {[]string{"pseudonym", dir, "user", "alice"}, 1, `"user" is not client, subject, token, address`},
	} {
		out, code := runCommand(t, tollgate, append([]string{"audit"}, test.args...)...)
		if code != test.code || !strings.Contains(out, test.says) {
			t.Errorf("%s: want %d and %q, got %d:\n%s", name, test.code, test.says, code, out)
		}
	}
}
