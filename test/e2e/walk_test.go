package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestAuditorsWalk runs what docs/auditors-walk.md tells to type, as it is there.
func TestAuditorsWalk(t *testing.T) {
	t.Parallel()
	d := shared(t)
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	folder := typed(t, "auditors-walk.md", map[string]string{"bin": bin, "data": d.dir, "Caddyfile": filepath.Join(root, "Caddyfile"), "lint.yaml": filepath.Join(root, "lint.yaml"), "cases.yaml": filepath.Join(root, "cases.yaml")},
		"API payments", "suppressed", "widened  api payments: needs less than before", "for example POST", "exit code 1",
		"=> 403 insufficient_scope", "=> forwarded", "0 failed", "100.0 %", "1 failed", "exit code 1", `"code":"missing_credentials"`, `"reason":"no_credentials"`, "verified", "=> 401 no_credentials", "NOT what was signed", "exit code 1")
	page, err := os.ReadFile(filepath.Join(folder, "policy.html"))
	if err != nil || !strings.Contains(string(page), "payments:confirm") {
		t.Errorf("%v: the report does not say payments:confirm", err)
	}

	// What is filed is about the policy that the proved record names.
	proof, err := os.ReadFile(filepath.Join(folder, "proof.json"))
	policy := regexp.MustCompile(`\\"policy\\":\\"([0-9a-f]+)\\"`).FindSubmatch(proof)
	if err != nil || policy == nil || !strings.Contains(string(page), string(policy[1])) {
		t.Errorf("%v: the report is not of the policy %q of the proof", err, policy)
	}
}
