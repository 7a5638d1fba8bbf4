package auditlog

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A log goes on with the key that it began with. What makes another one, such as a volume
// that is not there, leaves the public key as it is.
func TestALogKeepsItsKey(t *testing.T) {
	t.Parallel()
	source, stranger := t.TempDir(), t.TempDir()
	write(t, source, 2, 2)
	write(t, stranger, 2, 2)
	for name, test := range map[string]struct {
		harm func(key string) error
		want string
	}{
		"missing": {os.Remove, "is missing"},
		"another": {func(key string) error {
			return os.WriteFile(key, read(t, filepath.Join(stranger, signingKeyFile)), 0o600)
		}, "is another than that of public.key"},
		"open to others": {func(key string) error { return os.Chmod(key, 0o644) }, "chmod 600"},
		"empty":          {func(key string) error { return os.WriteFile(key, nil, 0o600) }, "is empty"},
		"a folder":       {func(key string) error { return errors.Join(os.Remove(key), os.Mkdir(key, 0o700)) }, "not a file"},
	} {
		dir := copyLog(t, source)
		key := filepath.Join(dir, signingKeyFile)
		if err := test.harm(key); err != nil {
			t.Fatal(err)
		}
		_, err := open(Config{Dir: dir, Origin: origin})
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), signingKeyFile) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := Verify(dir, verifierOf(t, dir), Expect{}); err != nil {
			t.Errorf("%s: the log can no longer be verified: %v", name, err)
		}
	}
}
