package tollgate

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// reference is how a configuration names a secret that it does not hold itself: what
// `adapt` prints, the admin API answers and autosave writes is the name alone.
var reference = regexp.MustCompile(`^\{(env\.[A-Za-z_][A-Za-z0-9_]*|file\.[^{}]+)\}$`)

// errReference does not repeat what is there instead, which may be the secret.
var errReference = errors.New("has to be {env.NAME} or {file.PATH}, so that the configuration does not hold the secret itself")

func checkReference(text string) error {
	if !reference.MatchString(text) {
		return errReference
	}
	return nil
}

// checkReferenced refuses a file that is not there, or empty. All else is seen only in
// the running process: its environment, its folder, and what its user may read.
func checkReferenced(text string) error {
	path, isFile := strings.CutPrefix(strings.Trim(text, "{}"), "file.")
	if !isFile || !filepath.IsAbs(path) {
		return nil
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: there is no such file", text)
	case err == nil && !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a file", text)
	case err == nil && info.Size() == 0:
		return fmt.Errorf("%s is empty", text)
	default:
		return nil
	}
}

// resolve gives the secret that the reference names. Caddy cuts one line end off a file.
func resolve(text string) (string, error) {
	if err := checkReference(text); err != nil {
		return "", err
	}
	secret, _ := caddy.NewReplacer().GetString(strings.Trim(text, "{}"))
	if secret == "" {
		return "", fmt.Errorf("%s is empty, or cannot be read", text)
	}
	return secret, nil
}
