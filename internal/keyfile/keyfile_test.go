package keyfile

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRead has the modes that a key comes with: of a file of its owner's, and of a
// Kubernetes secret that the group may read.
func TestRead(t *testing.T) {
	t.Parallel()
	for mode, want := range map[os.FileMode]string{
		0o600: "", 0o400: "", 0o440: "", 0o640: "",
		0o644: "0644", 0o604: "0604", 0o602: "0602", 0o601: "0601", 0o660: "0660", 0o420: "0420",
	} {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, []byte("canary"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		document, err := Read(path)
		if want == "" && (err != nil || string(document) != "canary") {
			t.Errorf("%04o: %q, %v", mode, document, err)
		}
		if want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary")) {
			t.Errorf("%04o: %v", mode, err)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	large := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(large, bytes.Repeat([]byte("x"), maxSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{large: "not a file with one key", t.TempDir(): "not a file with one key", "/nowhere/key": "no such file"} {
		_, err := Read(path)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
