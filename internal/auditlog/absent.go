package auditlog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// lockFile keeps a second process from writing to the folder.
const lockFile = "lock"

// companions are the files of a log beside its segments.
var companions = []string{publicKeyFile, signingKeyFile, pseudonymFile, lockFile}

// ErrNoLog is met in a folder in which nothing is of a log.
var ErrNoLog = errors.New("there is no log here")

// absent says of a folder without records whether they were taken away, or whether there
// is no log: it may be the wrong folder, and nobody can tell if there was one.
func absent(dir string, halves []int64) error {
	left := slices.DeleteFunc(slices.Clone(companions), func(name string) bool {
		_, err := os.Lstat(filepath.Join(dir, name))
		return errors.Is(err, fs.ErrNotExist)
	})
	if len(halves) > 0 {
		left = append(left, filepath.Base(segmentPath("", halves[0], ".*")))
	}
	if len(left) > 0 {
		return &Fault{File: filepath.Base(dir), What: "all records are missing: of a log there is " + strings.Join(left, ", ") + " only"}
	}
	return fmt.Errorf("%w: %s has no file like %s. Is it the right folder? If a log was here, all of it was taken away",
		ErrNoLog, dir, segmentPath("", 0, recordsSuffix))
}
