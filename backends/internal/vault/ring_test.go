package vault

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestKeysChangeWhileServicesRun(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	running, err := LoadRing(path, "users")
	if err != nil {
		t.Fatal(err)
	}
	old := running.Seal("row", []byte("hello"))
	if err := AddKey(path); err != nil {
		t.Fatal(err)
	}
	command, err := LoadRing(path, "users")
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := command.Open("row", old); err != nil || string(plain) != "hello" || command.Newest(old) || !running.Newest(old) {
		t.Errorf("%s %v", plain, err)
	}
	fresh := command.Seal("row", []byte("hello"))
	if plain, err := running.Open("row", fresh); err != nil || string(plain) != "hello" || !running.Newest(fresh) {
		t.Errorf("a running service does not read the file again: %s %v", plain, err)
	}
	if err := ForgetOld(path); err != nil {
		t.Fatal(err)
	}
	after, err := LoadRing(path, "users")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := after.Open("row", fresh); err != nil {
		t.Error(err)
	}
	for name, value := range map[string][]byte{"a forgotten key": old, "nothing": nil, "short": {1}, "altered": append(fresh[:len(fresh)-1:len(fresh)-1], 0)} {
		if _, err := after.Open("row", value); err == nil {
			t.Errorf("%s opens", name)
		}
	}
	if _, err := after.Open("other row", fresh); err == nil {
		t.Error("opens elsewhere")
	}
	for range maxKeys - 1 {
		if err := AddKey(path); err != nil {
			t.Fatal(err)
		}
	}
	if err := AddKey(path); err == nil || !strings.Contains(err.Error(), "forget") {
		t.Errorf("one key too many: %v", err)
	}
	if _, err := Load(path, "webhooks"); err == nil {
		t.Error("a vault takes one of several keys")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

// A service that only seals learns of a new key as well: what it sealed with the old
// one behind the back of "key rotate" would be lost with --forget-old.
func TestWhoOnlySealsTakesTheNewKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	running, err := LoadRing(path, "users")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(AddKey(path), ForgetOld(path)); err != nil {
		t.Fatal(err)
	}
	sealed := running.Seal("row", []byte("hello"))
	restarted, err := LoadRing(path, "users")
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := restarted.Open("row", sealed); err != nil || string(plain) != "hello" {
		t.Errorf("got %q, %v", plain, err)
	}
	// Without the file, what is in memory seals on.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := restarted.Open("row", running.Seal("row", []byte("hello"))); err != nil {
		t.Error(err)
	}
}

// A file that cannot be read is told of once, and again when the reason is another or it
// can be read: each value that is sealed looks at it.
func TestAFileThatCannotBeReadIsToldOfOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	r, err := LoadRing(path, "users")
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	r.OnFault(func(err error) { told = append(told, fmt.Sprint(err)) })
	seal := func() {
		t.Helper()
		for range 3 {
			if _, err := r.Open("row", r.Seal("row", []byte("x"))); err != nil {
				t.Fatal(err)
			}
		}
	}
	seal()
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	seal()
	if err := os.WriteFile(path, []byte("half a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	seal()
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	seal()
	if len(told) != 3 || !strings.Contains(told[0], "no such file") || !strings.Contains(told[1], "10 bytes") || told[2] != "<nil>" {
		t.Errorf("told %q", told)
	}
}

// The folder is synced when the new file has its name, and not before, and who asked for
// it is told when that fails.
func TestTheNameOfAKeyFileIsOnTheDisk(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, put := range map[string]func(path string, sync func(string) error) error{
		"made":     create,
		"replaced": func(path string, sync func(string) error) error { return writeMasters(path, [][]byte{NewKey()}, sync) },
	} {
		path := filepath.Join(t.TempDir(), "key")
		size := int64(0)
		if name == "replaced" {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		err := put(path, func(folder string) error {
			if info, err := os.Stat(path); err == nil && folder == filepath.Dir(path) {
				size = info.Size()
			}
			return broken
		})
		if !errors.Is(err, broken) || size != keySize {
			t.Errorf("%s: %d octets under its name when the folder was synced, %v", name, size, err)
		}
	}
	if err := syncFolder(t.TempDir()); err != nil {
		t.Error(err)
	}
	if err := syncFolder(filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("a folder that is not there is synced")
	}
}

func TestFromKey(t *testing.T) {
	t.Parallel()
	key := NewKey()
	a, err := FromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	b, err := FromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := b.Open("row", a.Seal("row", []byte("x"))); err != nil || string(plain) != "x" {
		t.Errorf("%s %v", plain, err)
	}
	if _, err := FromKey(key[1:]); err == nil {
		t.Error("a short key is taken")
	}
}
