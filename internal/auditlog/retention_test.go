package auditlog

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestRetention(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := &clock{at: noon}
	l := idle(t, Config{Dir: dir, SegmentAge: time.Hour, Keep: 10 * time.Hour, Now: now.now})
	for n := range 30 {
		now.add(time.Hour)
		l.Append(decision(n))
		flush(t, l)
	}
	closeLog(t, l)
	verifier := verifierOf(t, dir)
	report, err := Verify(dir, verifier, Expect{})
	if err != nil {
		t.Fatal(err)
	}
	if report.First == 0 || report.Size < 30 {
		t.Errorf("%+v", report)
	}
	for number := report.First; number < report.Size; number++ { // proofs need nothing that is gone
		if _, err := Prove(dir, number, verifier); err != nil {
			t.Errorf("record %d: %v", number, err)
		}
	}
	firsts, err := segments(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, suffix := range suffixes {
		if err := os.Remove(segmentPath(dir, firsts[0], suffix)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Verify(dir, verifier, Expect{}); err == nil || !strings.Contains(err.Error(), "because of their age") {
		t.Errorf("more was deleted than the log says: %v", err)
	}
}

// A crash in the midst of deleting leaves a log that verifies, and that goes on to delete.
func TestRetentionThatACrashEnded(t *testing.T) {
	t.Parallel()
	for gone := range len(suffixes) + 1 {
		dir := t.TempDir()
		now := &clock{at: noon}
		c := Config{Dir: dir, Origin: origin, SegmentAge: time.Hour, Now: now.now}
		l := idle(t, c)
		for n := range 6 {
			now.add(time.Hour)
			l.Append(decision(n))
			flush(t, l)
		}
		closeLog(t, l)
		old := make(map[string][]byte)
		for _, suffix := range suffixes {
			old[suffix] = read(t, segmentPath(dir, 0, suffix))
		}
		c.Keep = 3 * time.Hour
		l = idle(t, c) // says what is to be deleted, and deletes it
		if firsts, err := segments(dir); err != nil || firsts[0] == 0 {
			t.Fatal(firsts, err)
		}
		for _, suffix := range suffixes[gone:] { // as if it had ended in the midst of that
			if err := os.WriteFile(segmentPath(dir, 0, suffix), old[suffix], 0o640); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.writer.close(); err != nil {
			t.Fatal(err)
		}
		if _, err := Verify(dir, verifierOf(t, dir), Expect{}); err != nil && gone > 0 { // one before those that are deleted is a gap
			t.Errorf("%d files deleted: %v", gone, err)
		}
		l = idle(t, c)
		for n := range 6 {
			now.add(time.Hour)
			l.Append(decision(n))
			flush(t, l)
		}
		closeLog(t, l)
		if _, err := Verify(dir, verifierOf(t, dir), Expect{}); err != nil {
			t.Errorf("%d files deleted, later: %v", gone, err)
		}
		if left := files(t, dir); strings.Contains(strings.Join(left, " "), "/0000000000000000000.") {
			t.Errorf("%d files deleted: %v are there", gone, left)
		}
	}
}
