package auditlog

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// copyLog copies the segments of a log into a folder of its own.
func copyLog(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	copyInto(t, to, from)
	return to
}

// copyInto is "cp -p": the keys keep their modes.
func copyInto(t *testing.T, to, from string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{signingKeyFile, pseudonymFile} {
		if err := os.Chmod(filepath.Join(to, secret), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func overwrite(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o640); err != nil {
		t.Fatal(err)
	}
}

// flipper gives what turns a bit of an octet of a file over. It writes that octet in its
// place: file systems wait for the disk where a file is cut and written again.
func flipper(t testing.TB, path string) (flip func(n int)) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return func(n int) {
		t.Helper()
		octet := make([]byte, 1)
		_, err := file.ReadAt(octet, int64(n))
		octet[0] ^= 1 << (n % 8)
		if _, wrote := file.WriteAt(octet, int64(n)); err != nil || wrote != nil {
			t.Fatal(err, wrote)
		}
	}
}

// files lists those of the segments.
func files(t testing.TB, dir string) []string {
	t.Helper()
	var list []string
	for _, suffix := range suffixes {
		found, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, found...)
	}
	return list
}

// Each octet of each file counts. In a live log there may be something at the end that
// no checkpoint covers; what one covers is held all the same.
func TestEachOctetIsHeld(t *testing.T) {
	t.Parallel()
	for name, live := range map[string]bool{"closed": false, "live": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, dir, 2, 2)
			verifier := verifierOf(t, dir)
			want, err := Verify(dir, verifier, Expect{Live: live})
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range files(t, dir) {
				flip := flipper(t, path)
				for n := range read(t, path) {
					flip(n)
					if got, err := Verify(dir, verifier, Expect{Live: live}); err == nil && !(live && got.Size < want.Size) {
						t.Fatalf("octet %d of %s changes unseen", n, filepath.Base(path))
					}
					flip(n)
				}
			}
		})
	}
}

// lines gives those of a file, with their ends.
func lines(content []byte) [][]byte { return slices.Collect(bytes.Lines(content)) }

// The record that was touched is named.
func TestTheFirstBadRecordIsNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, 12, 3)
	verifier := verifierOf(t, dir)
	firsts, err := segments(dir)
	if err != nil {
		t.Fatal(err)
	}
	first := firsts[1]
	path := segmentPath(dir, first, recordsSuffix)
	all := lines(read(t, path))
	for _, test := range []struct {
		name string
		now  [][]byte
		bad  int
	}{
		{"altered", slices.Concat(all[:2], [][]byte{bytes.Replace(all[2], []byte("403"), []byte("200"), 1)}, all[3:]), 2},
		{"removed", slices.Concat(all[:2], all[3:]), 2},
		{"doubled", slices.Concat(all[:2], [][]byte{all[1]}, all[2:]), 2},
		{"swapped", slices.Concat(all[:2], [][]byte{all[3], all[2]}, all[4:]), 2},
		{"put in", slices.Concat(all[:2], [][]byte{[]byte("{}\n")}, all[2:]), 2},
		{"removed, with a whole checkpoint behind", slices.Concat(all[:len(all)-2], all[len(all)-1:]), len(all) - 2},
		{"the last removed", all[:len(all)-1], len(all) - 1},
		{"two of the last removed", slices.Concat(all[:len(all)-3], all[len(all)-1:]), len(all) - 3},
		{"split", slices.Concat(all[:2], [][]byte{[]byte("\n")}, all[2:]), 2},
	} {
		overwrite(t, path, bytes.Join(test.now, nil))
		var fault *Fault
		_, err := Verify(dir, verifier, Expect{})
		if !errors.As(err, &fault) || fault.First != first+int64(test.bad) || fault.Last != fault.First || fault.File != filepath.Base(path) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// Who alters the stored hashes as well hides which record it was, not that it was one.
func TestHashesThatWereMadeToFit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, 1, 8)
	verifier := verifierOf(t, dir)
	path := segmentPath(dir, 0, recordsSuffix)
	overwrite(t, path, bytes.Replace(read(t, path), []byte("403"), []byte("200"), 1))
	start, _, err := readStart(dir, 0, verifier)
	if err != nil {
		t.Fatal(err)
	}
	var hashes []byte
	_, err = replay(path, start, Checkpoint{Size: -1}, func(complete []tlog.Hash) error {
		for _, h := range complete {
			hashes = append(hashes, h[:]...)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	overwrite(t, segmentPath(dir, 0, hashesSuffix), hashes)
	var fault *Fault
	if _, err := Verify(dir, verifier, Expect{}); !errors.As(err, &fault) || fault.First > 1 || fault.Last < 1 {
		t.Errorf("%v", err)
	}
}

func TestSegmentsAndCheckpoints(t *testing.T) {
	t.Parallel()
	source, stranger := t.TempDir(), t.TempDir()
	write(t, source, 12, 3)
	write(t, stranger, 12, 3)
	verifier := verifierOf(t, source)
	firsts, err := segments(source)
	if err != nil || len(firsts) < 3 {
		t.Fatalf("%v, %v", firsts, err)
	}
	path := func(dir string, n int, suffix string) string { return segmentPath(dir, firsts[n], suffix) }
	newestSegment := len(firsts) - 1
	remove := func(dir string, n int) {
		for _, suffix := range suffixes {
			_ = os.Remove(path(dir, n, suffix))
		}
	}
	newest := notes(t, path(source, newestSegment, checkpointsSuffix))
	for name, tamper := range map[string]func(dir string){
		"first segment removed":  func(dir string) { remove(dir, 0) },
		"middle segment removed": func(dir string) { remove(dir, 1) },
		"records cut": func(dir string) {
			content := read(t, path(dir, 1, recordsSuffix))
			overwrite(t, path(dir, 1, recordsSuffix), content[:len(content)/2])
		},
		"records of another segment": func(dir string) {
			overwrite(t, path(dir, 1, recordsSuffix), read(t, path(dir, 0, recordsSuffix)))
		},
		"segment of another log": func(dir string) {
			for _, suffix := range suffixes {
				overwrite(t, path(dir, 1, suffix), read(t, path(stranger, 1, suffix)))
			}
		},
		"checkpoints of a middle segment cut": func(dir string) {
			all := notes(t, path(dir, 1, checkpointsSuffix))
			overwrite(t, path(dir, 1, checkpointsSuffix), bytes.Join(all[:len(all)-1], nil))
		},
		"an older checkpoint": func(dir string) {
			overwrite(t, path(dir, newestSegment, checkpointsSuffix), bytes.Join(newest[:len(newest)-1], nil))
		},
		"hashes put in": func(dir string) {
			overwrite(t, path(dir, 0, hashesSuffix), append(read(t, path(dir, 0, hashesSuffix)), 0))
		},
		"record put in behind": func(dir string) {
			overwrite(t, path(dir, newestSegment, recordsSuffix), append(read(t, path(dir, newestSegment, recordsSuffix)), "{}\n"...))
		},
		"record put in between segments": func(dir string) {
			overwrite(t, path(dir, 0, recordsSuffix), append(read(t, path(dir, 0, recordsSuffix)), "{}\n"...))
		},
		"half a line behind": func(dir string) {
			overwrite(t, path(dir, newestSegment, recordsSuffix), append(read(t, path(dir, newestSegment, recordsSuffix)), '{'))
		},
		"records of the newest segment removed": func(dir string) {
			_ = os.Remove(path(dir, newestSegment, recordsSuffix))
		},
		"records and checkpoints of the newest segment removed": func(dir string) {
			_ = os.Remove(path(dir, newestSegment, recordsSuffix))
			_ = os.Remove(path(dir, newestSegment, checkpointsSuffix))
		},
		"of all newer segments the newest start left": func(dir string) {
			remove(dir, newestSegment-1)
			for _, suffix := range suffixes[:3] {
				_ = os.Remove(path(dir, newestSegment, suffix))
			}
		},
		"everything removed": func(dir string) {
			for n := range firsts {
				remove(dir, n)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := copyLog(t, source)
			tamper(dir)
			var fault *Fault
			if _, err := Verify(dir, verifier, Expect{}); !errors.As(err, &fault) {
				t.Errorf("%v", err)
			}
		})
	}
}

// beginHalf leaves of a new segment what a crash does that comes before its records.
func beginHalf(t *testing.T, dir string) {
	t.Helper()
	report, err := Verify(dir, verifierOf(t, dir), Expect{})
	if err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{startSuffix, checkpointsSuffix, hashesSuffix} {
		overwrite(t, segmentPath(dir, report.Size, suffix), nil)
	}
}

func TestASegmentThatDidNotBegin(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, 12, 3)
	beginHalf(t, dir)
	if _, err := Verify(dir, verifierOf(t, dir), Expect{}); err != nil {
		t.Error(err)
	}
}

// A tail that was cut together with its checkpoints is found by one that was kept.
func TestKeptCheckpoints(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, 12, 3)
	verifier := verifierOf(t, dir)
	firsts, err := segments(dir)
	if err != nil {
		t.Fatal(err)
	}
	last := firsts[len(firsts)-1]
	lastNotes := notes(t, segmentPath(dir, last, checkpointsSuffix))
	newest, early := lastNotes[len(lastNotes)-1], notes(t, segmentPath(dir, 0, checkpointsSuffix))[0]
	if _, err := Verify(dir, verifier, Expect{Kept: [][]byte{newest, early}}); err != nil {
		t.Errorf("what was kept of this log: %v", err)
	}
	for _, suffix := range suffixes {
		_ = os.Remove(segmentPath(dir, last, suffix))
	}
	if _, err := Verify(dir, verifier, Expect{}); err != nil {
		t.Errorf("nothing shows a cut but a checkpoint that was kept: %v", err)
	}
	if _, err := Verify(dir, verifier, Expect{Kept: [][]byte{newest}}); err == nil || !strings.Contains(err.Error(), "missing: the kept checkpoint") {
		t.Errorf("the cut: %v", err)
	}

	// The signer itself writes another history.
	other := t.TempDir()
	copyInto(t, other, dir)
	for _, path := range files(t, other) {
		_ = os.Remove(path)
	}
	l := idle(t, Config{Dir: other, Now: func() time.Time { return noon.Add(time.Hour) }})
	for n := range 50 {
		l.Append(decision(n))
	}
	closeLog(t, l)
	if _, err := Verify(other, verifier, Expect{}); err != nil {
		t.Errorf("another history: %v", err)
	}
	if _, err := Verify(other, verifier, Expect{Kept: [][]byte{early}}); err == nil || !strings.Contains(err.Error(), "another one") {
		t.Errorf("another history, with what was kept: %v", err)
	}
}

// A copy in the order of the names has what its checkpoints cover, however much is written
// between one file and the next. One in another order may not, and is told from a log that is whole.
func TestCopiesOfALogThatIsWritten(t *testing.T) {
	t.Parallel()
	for _, byName := range []bool{true, false} {
		dir, to := t.TempDir(), t.TempDir()
		now := &clock{at: noon}
		l := idle(t, Config{Dir: dir, SegmentAge: 8 * time.Second, Now: now.now})
		record := func() {
			now.add(time.Second)
			l.Append(decision(1))
			flush(t, l)
		}
		for range 20 { // the newest segment takes more
			record()
		}
		names, err := filepath.Glob(filepath.Join(dir, "[0-9]*"))
		if err != nil {
			t.Fatal(err)
		}
		if slices.Sort(names); !byName {
			slices.Reverse(names)
		}
		for _, name := range names {
			overwrite(t, filepath.Join(to, filepath.Base(name)), read(t, name))
			record()
		}
		closeLog(t, l)
		var fault *Fault
		if _, err := Verify(to, verifierOf(t, dir), Expect{Live: true}); byName && err != nil || !byName && (!errors.As(err, &fault) || !strings.Contains(fault.What, "missing")) {
			t.Errorf("by name: %v: %v", byName, err)
		}
	}
}

// FuzzCheckpoint: what opens is what was signed, octet for octet.
func FuzzCheckpoint(f *testing.F) {
	dir := f.TempDir()
	write(f, dir, 1, 2)
	verifier := verifierOf(f, dir)
	signed := map[string]bool{}
	for _, message := range notes(f, segmentPath(dir, 0, checkpointsSuffix)) {
		signed[string(message)] = true
		f.Add(message)
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		if _, err := OpenCheckpoint(message, verifier); err == nil && !signed[string(message)] {
			t.Fatalf("opened %q", message)
		}
	})
}
