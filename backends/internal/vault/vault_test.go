package vault

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func load(t *testing.T, path, purpose string) *Vault {
	t.Helper()
	v, err := Load(path, purpose)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestSealedValuesOpenOnlyWhereTheyBelong(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	sealed := load(t, path, "webhooks").Seal("row-1", []byte("hello"))
	if strings.Contains(string(sealed), "hello") {
		t.Fatal("the value is in clear")
	}
	again := load(t, path, "webhooks") // after a restart
	if plain, err := again.Open("row-1", sealed); err != nil || string(plain) != "hello" {
		t.Fatalf("got %q, %v", plain, err)
	}
	altered := append([]byte(nil), sealed...)
	altered[len(altered)-1] ^= 1
	for name, attempt := range map[string]func() ([]byte, error){
		"another row":     func() ([]byte, error) { return again.Open("row-2", sealed) },
		"another purpose": func() ([]byte, error) { return load(t, path, "other").Open("row-1", sealed) },
		"another key": func() ([]byte, error) {
			return load(t, filepath.Join(t.TempDir(), "key"), "webhooks").Open("row-1", sealed)
		},
		"an altered value": func() ([]byte, error) { return again.Open("row-1", altered) },
		"an empty value":   func() ([]byte, error) { return again.Open("row-1", nil) },
	} {
		if _, err := attempt(); err == nil {
			t.Errorf("%s opened it", name)
		}
	}
}

func TestProcessesThatStartTogetherAgreeOnOneKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	vaults := make([]*Vault, 10)
	var wg sync.WaitGroup
	for i := range vaults {
		wg.Go(func() { vaults[i], _ = Load(path, "p") })
	}
	wg.Wait()
	sealed := load(t, path, "p").Seal("r", []byte("x"))
	for _, v := range vaults {
		if v == nil {
			t.Fatal("one did not load")
		}
		if _, err := v.Open("r", sealed); err != nil {
			t.Error(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// What Kubernetes mounts for a process that is not root's is readable by its group
// (package keyfile has the rule).
func TestAGroupMayReadTheKey(t *testing.T) {
	t.Parallel()
	for _, mode := range []os.FileMode{0o440, 0o640} {
		path := filepath.Join(t.TempDir(), "key")
		if err := errors.Join(os.WriteFile(path, []byte(strings.Repeat("k", keySize)), 0o600), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path, "p"); err != nil {
			t.Errorf("%04o: %v", mode, err)
		}
		if err := AddKey(path); err != nil {
			t.Errorf("%04o: %v", mode, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%04o became %v, %v", mode, info.Mode(), err)
		}
		if _, err := LoadRing(path, "p"); err != nil {
			t.Errorf("%04o: %v", mode, err)
		}
	}
}

func TestLoadSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for path, want := range map[string]string{
		write("short", "short", 0o600):                     "5 bytes",
		write("open", strings.Repeat("k", keySize), 0o644): "chmod 600",
		filepath.Join(dir, "missing", "key"):               "no such file",
	} {
		if _, err := Load(path, "p"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
}
