package vault

import (
	"errors"
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
