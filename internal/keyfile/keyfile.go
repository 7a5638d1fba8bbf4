// Package keyfile reads files that hold a private key: one rule for all of them.
package keyfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// maxSize bounds a file with one key.
const maxSize = 16 << 10

// open are the permissions that a file with a key must not have: all of the world's, and
// the group's to write. A group may read it: what Kubernetes mounts for a process that is
// not root is root's, and readable by the group.
const open fs.FileMode = 0o027

// Read gives what is in the file. An error does not repeat the path, which whoever has
// named it knows, nor anything that is in it.
func Read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, withoutPath(err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxSize {
		return nil, errors.New("not a file with one key")
	}
	if mode := info.Mode().Perm(); mode&open != 0 {
		return nil, fmt.Errorf("others than its owner and group can get at it, or its group can change it (mode %04o): chmod 600 it, or 640", mode)
	}
	document, err := os.ReadFile(path)
	if err != nil {
		return nil, withoutPath(err)
	}
	return document, nil
}

func withoutPath(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}
