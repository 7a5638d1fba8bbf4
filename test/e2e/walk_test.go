package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestAuditorsWalk runs what docs/auditors-walk.md tells to type, as it is there.
func TestAuditorsWalk(t *testing.T) {
	t.Parallel()
	d := shared(t)
	folder := t.TempDir()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"bin": bin, "data": d.dir, "Caddyfile": filepath.Join(root, "Caddyfile"), "lint.yaml": filepath.Join(root, "lint.yaml")} {
		if err := os.Symlink(target, filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", strings.Join(blocks(t, "auditors-walk.md", "sh"), "\n"))
	cmd.Dir = folder
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	rest := string(said)
	for _, want := range []string{
		"API payments", "suppressed", "widened  api payments: needs less than before", "for example POST", "exit code 1",
		"=> 403 insufficient_scope", "=> forwarded", `"code":"missing_credentials"`, `"reason":"no_credentials"`, "verified", "NOT what was signed", "exit code 1",
	} {
		_, after, found := strings.Cut(rest, want)
		if !found {
			t.Fatalf("no %s in what is left of the output:\n%s\n---- all of it:\n%s", want, rest, said)
		}
		rest = after
	}
	page, err := os.ReadFile(filepath.Join(folder, "policy.html"))
	if err != nil || !strings.Contains(string(page), "payments:confirm") {
		t.Errorf("%v: the report does not say payments:confirm", err)
	}
}
