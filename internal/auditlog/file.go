package auditlog

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A segment is four files that begin with the number of its first record.
const (
	recordsSuffix     = ".records"     // a JSON object a line
	hashesSuffix      = ".hashes"      // the tree's hashes, 32 octets each, in the order of edge.add
	checkpointsSuffix = ".checkpoints" // signed notes
	startSuffix       = ".start"       // a signed note for what came before, and the tree's edge
)

// suffixes in the order in which files are deleted: a segment counts as being there
// as long as its records are, so a crash between two leaves none that is there in part.
var suffixes = []string{recordsSuffix, hashesSuffix, checkpointsSuffix, startSuffix}

// numberDigits make names sort as numbers do.
const numberDigits = 19

func segmentPath(dir string, first int64, suffix string) string {
	return filepath.Join(dir, fmt.Sprintf("%0*d%s", numberDigits, first, suffix))
}

// segments lists the numbers that segments of the folder begin with, in order.
func segments(dir string) ([]int64, error) {
	firsts, _, err := listSegments(dir)
	return firsts, err
}

// listSegments lists the segments of the folder in order, and apart from them the halves, of
// which there are files, but no records: one that a crash kept from beginning or from being
// deleted whole, or one whose records somebody took away.
func listSegments(dir string) (whole, halves []int64, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, err
	}
	hasRecords := map[int64]bool{}
	for _, entry := range entries {
		for _, suffix := range suffixes {
			first, ok := segmentNumber(entry.Name(), suffix)
			if ok {
				hasRecords[first] = hasRecords[first] || suffix == recordsSuffix
			} else if suffix == recordsSuffix && strings.HasSuffix(entry.Name(), suffix) {
				return nil, nil, fmt.Errorf("%.99q is no segment's name", entry.Name())
			}
		}
	}
	for first, has := range hasRecords {
		if has {
			whole = append(whole, first)
		} else {
			halves = append(halves, first)
		}
	}
	slices.Sort(whole)
	slices.Sort(halves)
	return whole, halves, nil
}

// recordsTaken says whether the records of a half segment were taken away, in a log that
// ends there. A segment begins where the log ends, and nothing is in its other files before
// there is one for records.
func recordsTaken(dir string, first, end int64) bool {
	if _, err := os.Lstat(segmentPath(dir, first, recordsSuffix)); err == nil {
		return false // it began meanwhile
	}
	used := func(suffix string) bool {
		info, err := os.Lstat(segmentPath(dir, first, suffix))
		return err == nil && info.Size() > 0
	}
	return first > end || used(checkpointsSuffix) || used(hashesSuffix)
}

// segmentNumber reads the name of a segment's file.
func segmentNumber(name, suffix string) (int64, bool) {
	digits, found := strings.CutSuffix(name, suffix)
	first, err := strconv.ParseInt(digits, 10, 64)
	return first, found && err == nil && name == filepath.Base(segmentPath("", first, suffix)) && first >= 0
}

// openFile opens a file for reading that somebody else may have put there: not a pipe, on
// which it would wait for ever, nor a device that never ends.
func openFile(path string) (*os.File, error) {
	if err := isFile(path); err != nil {
		return nil, err
	}
	return os.Open(path)
}

func isFile(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a file", filepath.Base(path))
	}
	return err
}

// maxSmall bounds what is read at once: start files, keys, and checkpoints that were kept.
const maxSmall = 64 << 10

// ReadSmall reads a file of which it is known that it is small.
func ReadSmall(path string, limit int64) ([]byte, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = fmt.Errorf("%s is longer than it can be", filepath.Base(path))
	}
	return content, err
}

// startFile gives what a start file holds: the signed checkpoint, then the hashes.
func startFile(signed []byte, e *edge) []byte {
	content := slices.Clone(signed)
	for _, h := range e.hashes() {
		content = append(content, h.String()+"\n"...)
	}
	return content
}

// readStart reads and verifies a start file.
func readStart(dir string, first int64, verifier note.Verifier) (edge, Checkpoint, error) {
	content, err := ReadSmall(segmentPath(dir, first, startSuffix), maxSmall)
	if err != nil {
		return edge{}, Checkpoint{}, err
	}
	message, err := readNote(bufio.NewReader(bytes.NewReader(content)))
	if err != nil || !bytes.HasSuffix(content, []byte("\n")) {
		return edge{}, Checkpoint{}, errors.New("the start file is cut")
	}
	checkpoint, err := OpenCheckpoint(message, verifier)
	if err != nil {
		return edge{}, checkpoint, fmt.Errorf("the start file: %w", err)
	}
	e, err := parseEdge(first, slices.Collect(strings.Lines(string(content[len(message):]))))
	if err != nil {
		return e, checkpoint, fmt.Errorf("the start file: %w", err)
	}
	if checkpoint.Size != first || e.root() != checkpoint.Root {
		return e, checkpoint, errors.New("the start file's hashes are not those of its checkpoint")
	}
	return e, checkpoint, nil
}

func parseEdge(size int64, lines []string) (edge, error) {
	hashes := make([]tlog.Hash, 0, len(lines))
	for _, line := range lines {
		h, err := tlog.ParseHash(strings.TrimSuffix(line, "\n"))
		if err != nil || h.String()+"\n" != line {
			return edge{}, errEdge
		}
		hashes = append(hashes, h)
	}
	return newEdge(size, hashes)
}

// removeFile deletes a file that may not be there.
func removeFile(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// replaceFile writes a file so that a crash leaves the old one or the new one. What is left of
// another try is deleted, never opened: it may be a link, or a pipe.
func replaceFile(path string, content []byte, mode os.FileMode) error {
	partial := path + ".new"
	if err := removeFile(partial); err != nil {
		return err
	}
	f, err := os.OpenFile(partial, os.O_CREATE|os.O_WRONLY|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(partial, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in a folder durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// appender is a file that only grows, and is cut back to what is known to be good
// before it grows again: a full disk leaves half a line.
type appender struct {
	file *os.File
	good int64
	torn bool
}

func openAppender(path string, good int64) (*appender, error) {
	if err := isFile(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return nil, err
	}
	a := &appender{file: f, good: good, torn: true}
	if err := a.mend(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return a, nil
}

// mend cuts off what is not known to be good, durably: in a segment that has ended, nobody
// would do it again.
func (a *appender) mend() error {
	if !a.torn {
		return nil
	}
	if err := errors.Join(a.file.Truncate(a.good), a.file.Sync()); err != nil {
		return err
	}
	if _, err := a.file.Seek(a.good, io.SeekStart); err != nil {
		return err
	}
	a.torn = false
	return nil
}

// write appends durably, or not at all. What it wrote counts once keep is called.
func (a *appender) write(data []byte) error {
	if err := a.mend(); err != nil {
		return err
	}
	a.torn = true
	if _, err := a.file.Write(data); err != nil {
		return err
	}
	return a.file.Sync()
}

// keep makes what was written last part of the file.
func (a *appender) keep(n int) {
	a.good += int64(n)
	a.torn = false
}

// close cuts off what is not good, and ends.
func (a *appender) close() error {
	return errors.Join(a.mend(), a.file.Close())
}
