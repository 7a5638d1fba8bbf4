package auditlog

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

// notes gives the checkpoints of a file.
func notes(t testing.TB, path string) [][]byte {
	t.Helper()
	var all [][]byte
	for r := bufio.NewReader(bytes.NewReader(read(t, path))); ; {
		message, err := readNote(r)
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, message)
	}
}

// unnumber signs each checkpoint of a log again, as an edge did that knew no numbers.
func unnumber(t testing.TB, dir string) {
	t.Helper()
	signAgain(t, dir, func(c *Checkpoint, _ bool) { c.Number = unnumbered })
}

// signAgain changes checkpoints of a log, with its key: those of starts as well.
func signAgain(t testing.TB, dir string, change func(c *Checkpoint, start bool)) {
	t.Helper()
	verifier := verifierOf(t, dir)
	signer, err := note.NewSigner(strings.TrimSpace(string(read(t, filepath.Join(dir, signingKeyFile)))))
	if err != nil {
		t.Fatal(err)
	}
	firsts, err := segments(dir)
	if err != nil {
		t.Fatal(err)
	}
	again := func(message []byte, start bool) []byte {
		c, err := OpenCheckpoint(message, verifier)
		if err != nil {
			t.Fatal(err)
		}
		change(&c, start)
		message, err = c.sign(signer)
		if err != nil {
			t.Fatal(err)
		}
		return message
	}
	for _, first := range firsts {
		start, _, err := readStart(dir, first, verifier)
		if err != nil {
			t.Fatal(err)
		}
		path := segmentPath(dir, first, startSuffix)
		message, err := readNote(bufio.NewReader(bytes.NewReader(read(t, path))))
		if err != nil {
			t.Fatal(err)
		}
		overwrite(t, path, startFile(again(message, true), &start))
		path = segmentPath(dir, first, checkpointsSuffix)
		var all []byte
		for _, message := range notes(t, path) {
			all = append(all, again(message, false)...)
		}
		overwrite(t, path, all)
	}
}

// TestEachCheckpointHasItsPlace removes each run of checkpoints from each segment, doubles
// each, and puts each in another's place: what is left says that something is missing.
func TestEachCheckpointHasItsPlace(t *testing.T) {
	t.Parallel()
	dir, verifier, firsts := segmented(t)
	tried := 0
	for _, first := range firsts {
		path := segmentPath(dir, first, checkpointsSuffix)
		all := notes(t, path)
		found := func(what string, now ...[]byte) {
			t.Helper()
			tried++
			overwrite(t, path, bytes.Join(now, nil))
			var fault *Fault
			if _, err := Verify(dir, verifier, Expect{}); !errors.As(err, &fault) {
				t.Errorf("%s: %s: %v", filepath.Base(path), what, err)
			}
		}
		for from := range all {
			for to := from + 1; to <= len(all); to++ {
				found(fmt.Sprint("removed ", from, " to ", to-1), slices.Concat(all[:from], all[to:])...)
			}
			found(fmt.Sprint("doubled ", from), slices.Concat(all[:from+1], all[from:])...)
			for other := range from {
				swapped := slices.Clone(all)
				swapped[from], swapped[other] = all[other], all[from]
				found(fmt.Sprint("swapped ", from, " and ", other), swapped...)
				copied := slices.Clone(all)
				copied[from] = all[other]
				found(fmt.Sprint(other, " in place of ", from), copied...)
			}
		}
		overwrite(t, path, bytes.Join(all, nil))
	}
	if _, err := Verify(dir, verifier, Expect{}); err != nil || tried < 30 {
		t.Errorf("%d tries, and the log as it was: %v", tried, err)
	}
}

// A log that an edge began which knew no numbers is verified and gone on with, and from then
// on none is taken away unseen: neither from those that have numbers, nor all of these.
func TestALogThatHadNoNumbers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, 4, 3)
	unnumber(t, dir)
	verifier := verifierOf(t, dir)
	old, err := Verify(dir, verifier, Expect{})
	if err != nil || old.Unnumbered != old.Checkpoints || bytes.Contains(old.Message, []byte("number")) {
		t.Fatalf("%+v %v", old, err)
	}
	for range 2 { // goes on in the segment that it finds, and then in segments of its own
		write(t, dir, 6, 3)
	}
	report, err := Verify(dir, verifier, Expect{Kept: [][]byte{old.Message}})
	if err != nil || report.Unnumbered != old.Checkpoints || report.Newest.Number != report.Checkpoints-old.Checkpoints-1 {
		t.Fatalf("%+v %v", report, err)
	}
	firsts, err := segments(dir)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, first := range firsts {
		path := segmentPath(dir, first, checkpointsSuffix)
		all := notes(t, path)
		for n, message := range all {
			overwrite(t, path, bytes.Join(slices.Concat(all[:n], all[n+1:]), nil))
			_, err := Verify(dir, verifier, Expect{})
			if c, _ := OpenCheckpoint(message, verifier); err == nil && c.Number != unnumbered {
				t.Errorf("%d is removed unseen from %s", c.Number, filepath.Base(path))
			}
			if err != nil {
				found++
			}
			overwrite(t, path, bytes.Join(all, nil))
		}
	}
	if unseen := int(report.Checkpoints) - found; unseen == 0 || unseen > int(old.Checkpoints) { // what docs/audit.md says of them
		t.Errorf("%d of %d unnumbered ones are removed unseen", unseen, old.Checkpoints)
	}
	// One without a number stands for none that has one.
	path := segmentPath(dir, firsts[0], checkpointsSuffix)
	overwrite(t, path, append(read(t, path), notes(t, path)[0]...))
	if _, err := Verify(dir, verifier, Expect{}); err == nil {
		t.Error("an old checkpoint again")
	}
}

// A signer that mixes up its numbers, or gives them up, is found as well.
func TestNumbersThatDoNotFollow(t *testing.T) {
	t.Parallel()
	source, verifier, firsts := segmented(t)
	for name, change := range map[string]func(c *Checkpoint, start bool){
		"no number behind those that have one": func(c *Checkpoint, start bool) {
			if c.Size > firsts[1] {
				c.Number = unnumbered
			}
		},
		"a number behind those that have none": func(c *Checkpoint, start bool) {
			if c.Size <= firsts[1] {
				c.Number = unnumbered
			}
		},
		"a number twice": func(c *Checkpoint, start bool) {
			if c.Size > firsts[1] {
				c.Number--
			}
		},
		"a start with another number": func(c *Checkpoint, start bool) {
			if start && c.Size == firsts[1] {
				c.Number++
			}
		},
	} {
		dir := copyLog(t, source)
		signAgain(t, dir, change)
		var fault *Fault
		if _, err := Verify(dir, verifier, Expect{}); !errors.As(err, &fault) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A checkpoint that was taken away from the end while the edge was stopped is signed again, as
// after a crash, with what was behind it: one that was kept shows it, though no record changed.
func TestAKeptCheckpointIsInTheLog(t *testing.T) {
	t.Parallel()
	source := t.TempDir()
	l := idle(t, Config{Dir: source})
	for n := range 6 {
		l.Append(decision(n))
		flush(t, l)
	}
	closeLog(t, l)
	verifier := verifierOf(t, source)
	all := notes(t, segmentPath(source, 0, checkpointsSuffix))
	for gone := 2; gone < len(all); gone++ {
		dir := copyLog(t, source)
		overwrite(t, segmentPath(dir, 0, checkpointsSuffix), bytes.Join(all[:len(all)-gone], nil))
		closeLog(t, idle(t, Config{Dir: dir}))
		if _, err := Verify(dir, verifier, Expect{}); err != nil {
			t.Errorf("%d: as after a crash: %v", gone, err)
		}
		for n, kept := range all {
			_, err := Verify(dir, verifier, Expect{Kept: [][]byte{kept}})
			if removed := n >= len(all)-gone; removed != (err != nil) || removed && !strings.Contains(err.Error(), "not in the log any more") {
				t.Errorf("%d taken away, number %d was kept: %v", gone, n+1, err)
			}
		}
	}
}
