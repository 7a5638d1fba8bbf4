package policy

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestLintAsANewcomer asks the built command about the shipped file with no flag at all, and
// about files that are not as they should be.
func TestLintAsANewcomer(t *testing.T) {
	t.Parallel()
	tollgate, err := built()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := func(name, content string) string {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	const site = "{\n\tservers {\n\t\tprotocols h1 h2\n\t}\n}\nhttps://edge.test {\n\tapi a {\n\t\tpublic\n\t\tmethods GET\n\t\trespond 204\n\t}\n}\n"
	bare := file("bare/Caddyfile", site)
	audited := file("audited/Caddyfile", strings.Replace(site, "{\n", "{\n\ttollgate {\n\t\taudit /var/log/a\n\t}\n", 1))
	beside := file("beside/Caddyfile", site)
	rules := file("beside/lint.yaml", "suppress:\n- check: no-audit\n  reason: a laptop\n  expires: 9999-01-01\n")
	idle := file("idle.yaml", "rules:\n- id: ours\n  severity: error\n  apis: b*\n  require: {limit: true}\n")
	off := file("off.yaml", "disable: [no-audit]\n")
	two := file("two.yaml", "disable: []\n---\nrules:\n- id: ours\n")
	file("ended/lint.yaml", "suppress:\n- check: no-audit\n  reason: a laptop\n  expires: 2020-01-01\n")
	ended := file("ended/Caddyfile", site)
	file("mistaken/lint.yaml", "supress: []\n")
	mistaken := file("mistaken/Caddyfile", site)
	for name, test := range map[string]struct {
		args []string
		code int
		says string
	}{
		"the shipped file":          {[]string{"--config", "../../Caddyfile"}, 0, "0 findings; 12 more are suppressed by ../../lint.yaml (--all tells them)"},
		"the shipped file, bare":    {[]string{"--config", "../../Caddyfile", "--rules", "none"}, 1, "12 findings; no file of rules and suppressions"},
		"no file beside":            {[]string{"--config", bare}, 1, "no-audit"},
		"a file beside":             {[]string{"--config", beside}, 0, "1 more are suppressed by " + rules},
		"the file of another":       {[]string{"--config", bare, "--rules", rules}, 0, "1 more are suppressed by " + rules},
		"told in full":              {[]string{"--config", beside, "--all"}, 0, "suppressed no-audit: "},
		"a suppression has ended":   {[]string{"--config", ended}, 1, "ended on 2020-01-01"},
		"a mistake in it":           {[]string{"--config", mistaken}, 2, "lint.yaml: yaml: "},
		"a rule for nobody":         {[]string{"--config", bare, "--rules", idle}, 1, `rule "ours": no API is called "b*"`},
		"a check is switched off":   {[]string{"--config", bare, "--rules", off}, 0, "not looked for: no-audit"},
		"two documents":             {[]string{"--config", bare, "--rules", two}, 2, "more than one document"},
		"no such file":              {[]string{"--config", bare, "--rules", filepath.Join(dir, "none.yaml")}, 2, "none.yaml"},
		"a folder of rules":         {[]string{"--config", bare, "--rules", dir}, 2, "directory"},
		"no such configuration":     {[]string{"--config", filepath.Join(dir, "None")}, 2, "None"},
		"no such severity":          {[]string{"--config", bare, "--fail-on", "bad"}, 2, `Error: policy lint: --fail-on "bad" is not error, warning or note`},
		"no such format":            {[]string{"--config", bare, "--format", "xml"}, 2, `Error: policy lint: --format "xml" is not text or sarif`},
		"no such flag":              {[]string{"--nonsense"}, 2, "nonsense"},
		"a file without --config":   {[]string{bare}, 2, "--config names the configuration"},
		"one is a finding":          {[]string{"--config", bare}, 1, "1 finding as bad as warning, or worse"},
		"nothing to suppress":       {[]string{"--config", audited, "--rules", rules}, 0, "suppression of \"no-audit\": nothing is found there any more"},
		"milder than what is asked": {[]string{"--config", bare, "--fail-on", "error"}, 0, "1 finding;"},
	} {
		out, code := runCommand(t, tollgate, append([]string{"policy", "lint"}, test.args...)...)
		if code != test.code || !strings.Contains(out, test.says) {
			t.Errorf("%s: want %d and %q, got %d:\n%s", name, test.code, test.says, code, out)
		}
	}
}

// TestMistakenCommands: a word that is no command is a mistake, which a script has to notice.
func TestMistakenCommands(t *testing.T) {
	t.Parallel()
	tollgate, err := built()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range []string{"policy", "audit"} {
		if out, code := runCommand(t, tollgate, family, "nonsense"); code != 2 || !strings.HasPrefix(out, `Error: unknown command "nonsense" for "tollgate `+family+`": want `) || strings.Contains(out, "Usage:") {
			t.Errorf("%s: %d\n%s", family, code, out)
		}
		if out, code := runCommand(t, tollgate, family, "--nonsense"); code != 2 || !strings.Contains(out, "unknown flag: --nonsense") {
			t.Errorf("%s: %d\n%s", family, code, out)
		}
		if out, code := runCommand(t, tollgate, family); code != 0 || !strings.Contains(out, "Available Commands") {
			t.Errorf("%s: %d\n%s", family, code, out)
		}
	}
}

// TestReportThatCannotRun ends as the other commands do.
func TestReportThatCannotRun(t *testing.T) {
	t.Parallel()
	tollgate, err := built()
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"--config", "none"}, {"--config", "../../Caddyfile", "--format", "xml"}, {"--nonsense"}, {"../../Caddyfile"}} {
		if out, code := runCommand(t, tollgate, append([]string{"policy", "report"}, args...)...); code != 2 || !strings.HasPrefix(out, "Error: ") {
			t.Errorf("%q ends with %d: %s", args, code, out)
		}
	}
}

// runCommand gives all that a command says, and how it ended.
func runCommand(t *testing.T, command string, args ...string) (out string, code int) {
	t.Helper()
	cmd := exec.Command(command, args...)
	var says bytes.Buffer
	cmd.Stdout, cmd.Stderr = &says, &says
	if exit, ok := errors.AsType[*exec.ExitError](cmd.Run()); ok {
		code = exit.ExitCode()
	}
	return says.String(), code
}
