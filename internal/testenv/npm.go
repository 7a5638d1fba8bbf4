package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// NPM installs the packages of a folder's lock file and gives the folder's full path.
func NPM(t testing.TB, folder string) string {
	t.Helper()
	full, err := filepath.Abs(folder)
	if err != nil {
		t.Fatal(err)
	}
	install := exec.Command("npm", "ci", "--no-audit", "--no-fund", "--prefer-offline")
	install.Dir = full
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	return full
}

// Node prepares a script of such a folder.
func Node(t testing.TB, folder, script string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "node", append([]string{script}, args...)...)
	cmd.Dir = folder
	// For Debian 12's Node 18, which has Web Crypto behind a flag and tries only the
	// first address of localhost. Later ones take both flags as they are.
	cmd.Env = append(os.Environ(), "NODE_OPTIONS=--experimental-global-webcrypto --dns-result-order=ipv4first")
	return cmd
}
