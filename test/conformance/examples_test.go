package conformance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/open-tollgate/tollgate/internal/testenv"
)

// example is a Caddyfile, or a piece of one, on the page for operators.
var example = regexp.MustCompile("(?s)```caddyfile\n(.*?)\n```")

// exampleHead is what the pieces take for granted.
const exampleHead = `{
	admin off
	tollgate {
		redis redis://127.0.0.1:1
		origin https://api.example.com
		issuer https://login.example.com {
			audience https://api.example.com/api
		}
	}
}
`

// TestExamplesAreCaddyfiles has what operators copy adapted, each by itself.
func TestExamplesAreCaddyfiles(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(root, "docs", "operators.md"))
	if err != nil {
		t.Fatal(err)
	}
	examples := example.FindAllStringSubmatch(string(page), -1)
	if len(examples) < 10 {
		t.Fatalf("%d examples are found", len(examples))
	}
	keys := t.TempDir()
	writeKey(t, filepath.Join(keys, "assertion-1.pem"))
	if err := os.WriteFile(filepath.Join(keys, "dpop-nonce"), []byte(strings.Repeat("k", 64)), 0o600); err != nil {
		t.Fatal(err)
	}
	authority := testenv.NewAuthority(t)
	cert, key := authority.Issue("edge")
	for from, to := range map[string]string{authority.File: "redis-ca.pem", cert: "edge.pem", key: "edge.key"} {
		if err := os.Rename(from, filepath.Join(keys, to)); err != nil {
			t.Fatal(err)
		}
	}
	for _, match := range examples {
		config := strings.NewReplacer("/etc/tollgate", keys, "/run/secrets", keys).Replace(match[1]) + "\n" // where an operator has made the keys
		switch {
		case strings.HasPrefix(config, "api "):
			config = exampleHead + "api.example.com {\n" + config + "}\n"
		case !strings.HasPrefix(config, "{"):
			config = exampleHead + config
		}
		adapt := exec.Command(binary, "adapt", "--config", writeConfig(t, "Caddyfile", config), "--adapter", "caddyfile")
		if output, err := adapt.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s\n%s", err, config, output)
		}
	}
}

// writeKey makes the key that openssl makes on the page.
func writeKey(t *testing.T, path string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}), 0o600); err != nil {
		t.Fatal(err)
	}
}
