package vault

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

func testVault(t *testing.T, fill byte) *Vault {
	t.Helper()
	v, err := New(bytes.Repeat([]byte{fill}, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestSealBindsPurposeContextAndKey(t *testing.T) {
	t.Parallel()
	v := testVault(t, 1)
	sealed := v.Seal(RefreshToken, "grant-1", []byte("value"))
	if bytes.Contains(sealed, []byte("value")) {
		t.Fatal("the sealed value is readable")
	}
	plain, err := v.Open(RefreshToken, "grant-1", sealed)
	if err != nil || string(plain) != "value" {
		t.Fatalf("got %q, %v", plain, err)
	}
	altered := bytes.Clone(sealed)
	altered[len(altered)-1] ^= 1
	for name, open := range map[string]func() ([]byte, error){
		"another row":     func() ([]byte, error) { return v.Open(RefreshToken, "grant-2", sealed) },
		"another purpose": func() ([]byte, error) { return v.Open(SigningKey, "grant-1", sealed) },
		"another key":     func() ([]byte, error) { return testVault(t, 2).Open(RefreshToken, "grant-1", sealed) },
		"altered":         func() ([]byte, error) { return v.Open(RefreshToken, "grant-1", altered) },
		"empty":           func() ([]byte, error) { return v.Open(RefreshToken, "grant-1", nil) },
	} {
		if _, err := open(); err == nil {
			t.Errorf("%s: it opened", name)
		}
	}
}

func TestHashKeepsPartsAndPurposesApart(t *testing.T) {
	t.Parallel()
	v := testVault(t, 1)
	seen := map[string]bool{}
	for _, h := range [][]byte{
		v.Hash(AuthCode, "a"), v.Hash(RefreshToken, "a"), v.Hash(AuthCode, "ab", "c"), v.Hash(AuthCode, "a", "bc"),
		testVault(t, 2).Hash(AuthCode, "a"),
	} {
		if seen[string(h)] {
			t.Fatal("two hashes are equal")
		}
		seen[string(h)] = true
	}
	if !bytes.Equal(v.Hash(AuthCode, "a"), v.Hash(AuthCode, "a")) {
		t.Fatal("a hash is not stable")
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "master.key")
	hashes := make([][]byte, 8)
	var group sync.WaitGroup
	for i := range hashes {
		group.Go(func() {
			v, err := LoadOrMake(path)
			if err != nil {
				t.Error(err)
				return
			}
			hashes[i] = v.Hash(AuthCode, "x")
		})
	}
	group.Wait()
	for _, h := range hashes {
		if !bytes.Equal(h, hashes[0]) {
			t.Fatal("two commands that started together have different keys")
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	short, open := filepath.Join(dir, "short"), filepath.Join(dir, "open")
	if err := os.WriteFile(short, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(open, make([]byte, KeySize), 0o644); err != nil {
		t.Fatal(err)
	}
	mounted := filepath.Join(dir, "mounted") // as Kubernetes does it, readable by the group
	if err := os.WriteFile(mounted, make([]byte, KeySize), 0o440); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOrMake(mounted); err != nil {
		t.Error(err)
	}
	for _, path := range []string{"", short, open, filepath.Join(dir, "none", "file")} {
		if _, err := LoadOrMake(path); err == nil {
			t.Errorf("%q was taken", path)
		}
	}
}
