//go:build strangers

// Package strangers holds Tollgate's documents to what tools of others make of
// them. The tools are large: "make strangers" runs this, and CI does not.
package strangers

import (
	"os/exec"
	"path/filepath"
	"testing"
)

var documents = map[string]string{
	"users":    "../../../backends/users/openapi.yaml",
	"webhooks": "../../../backends/internal/webhookapi/openapi.yaml",
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	folder, err := filepath.Abs("documents")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s %v: %v\n%s", name, args, err, out)
	}
}

// TestStrangersReadTheDocuments: two linters find nothing, warnings included, and a
// client on generated types compiles.
func TestStrangersReadTheDocuments(t *testing.T) {
	run(t, "npm", "ci", "--no-audit", "--no-fund", "--prefer-offline", "--ignore-scripts")
	for name, path := range documents {
		run(t, "npx", "redocly", "lint", "--max-problems=100", path)
		run(t, "npx", "spectral", "lint", "--ruleset", ".spectral.yaml", "--fail-severity=hint", path)
		run(t, "npx", "openapi-typescript", path, "--output", "generated/"+name+".ts")
	}
	run(t, "npx", "tsc", "--noEmit", "--strict", "--target", "es2022", "--moduleResolution", "bundler",
		"--module", "esnext", "--skipLibCheck", "client.ts")
}
