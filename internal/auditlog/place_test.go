package auditlog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// What is written to a file that was deleted is read by nobody, and without the lock a second
// process writes as well: the log counts as one that cannot be written then. What is put back
// is gone on with.
func TestFilesThatAreTakenAwayWhileTheLogIsWritten(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{
		"the lock": "lock", "the records": "0000000000000000000.records", "the hashes": "0000000000000000000.hashes",
		"the checkpoints": "0000000000000000000.checkpoints", "the folder": "",
	} {
		dir := filepath.Join(t.TempDir(), "audit")
		path = filepath.Join(dir, path)
		away := filepath.Join(t.TempDir(), "away")
		var changes []bool
		l := idle(t, Config{Dir: dir, Changed: func(err error) { changes = append(changes, err != nil) }})
		l.Append(decision(1))
		flush(t, l)
		if err := os.Rename(path, away); err != nil {
			t.Fatal(err)
		}
		for n, another := range []func() error{func() error { return nil }, func() error { return os.WriteFile(path, nil, 0o600) }} {
			if err := another(); err != nil {
				t.Fatal(err)
			}
			l.Append(decision(2 + n))
			if err := l.flush(); err == nil || !strings.Contains(err.Error(), "was moved or deleted") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := l.Reserve(); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: what has to be recorded is taken: %v", name, err)
		}
		if err := errors.Join(os.Remove(path), os.Rename(away, path)); err != nil {
			t.Fatal(err)
		}
		flush(t, l)
		closeLog(t, l)
		report, err := Verify(dir, verifierOf(t, dir), Expect{})
		if err != nil || report.Size != 5 || fmt.Sprint(changes) != "[true false]" {
			t.Errorf("%s: %+v, %v, %v", name, report, err, changes)
		}
	}
}

// Whoever can write to the folder has the log neither wait for a pipe nor write through a link.
func TestNothingIsWrittenThroughLinks(t *testing.T) {
	t.Parallel()
	source := t.TempDir()
	write(t, source, 1, 2)
	size := int64(5) // where the next begins
	for _, name := range []string{"public.key.new", filepath.Base(segmentPath("", size, startSuffix)) + ".new",
		filepath.Base(segmentPath("", size, recordsSuffix)), filepath.Base(segmentPath("", size, hashesSuffix)), filepath.Base(segmentPath("", size, checkpointsSuffix))} {
		for kind, plant := range map[string]func(victim, path string) error{
			"a link": os.Symlink,
			"a pipe": func(_, path string) error { return syscall.Mkfifo(path, 0o600) },
		} {
			dir, victim := copyLog(t, source), filepath.Join(t.TempDir(), "victim")
			overwrite(t, victim, []byte("precious"))
			now := &clock{at: noon.Add(time.Second)}
			l := idle(t, Config{Dir: dir, SegmentAge: time.Hour, Now: now.now})
			if l.writer.tree.size != size {
				t.Fatalf("%d records", l.writer.tree.size)
			}
			path := filepath.Join(dir, name)
			if err := plant(victim, path); err != nil {
				t.Fatal(err)
			}
			now.add(2 * time.Hour) // a segment begins
			l.Append(decision(1))
			flush(t, l)
			closeLog(t, l)
			closeLog(t, idle(t, Config{Dir: dir}))
			if text := string(read(t, victim)); text != "precious" {
				t.Errorf("%s is %s: %q was written through it", name, kind, text)
			}
			if _, err := Verify(dir, verifierOf(t, dir), Expect{}); err != nil {
				t.Errorf("%s is %s: %v", name, kind, err)
			}
		}
	}
	dir := copyLog(t, source)
	hashes := segmentPath(dir, 0, hashesSuffix)
	if err := errors.Join(os.Remove(hashes), syscall.Mkfifo(hashes, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := open(Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "is not a file") {
		t.Errorf("hashes that are a pipe: %v", err)
	}
}

// A disk that says nothing at all does not keep what has to be recorded from being refused.
func TestADiskThatHangs(t *testing.T) {
	t.Parallel()
	var hangs atomic.Bool
	answer := make(chan struct{})
	changed := make(chan error, 2)
	l := idle(t, Config{
		Dir: t.TempDir(), Changed: func(err error) { changed <- err },
		Now: func() time.Time {
			if hangs.Load() {
				<-answer // the writer asks for the time before it writes
			}
			return noon
		},
	})
	l.patience = time.Millisecond
	r := decision(1)
	r.Time = noon
	l.Append(r)
	hangs.Store(true)
	flushed := make(chan error, 1)
	go func() { flushed <- l.flush() }()
	if err := <-changed; !errors.Is(err, errHangs) {
		t.Errorf("changed: %v", err)
	}
	if err := l.Reserve(); !errors.Is(err, ErrUnavailable) || !l.Info().Failing {
		t.Errorf("it is taken: %v", err)
	}
	hangs.Store(false)
	close(answer)
	if err := <-flushed; err != nil {
		t.Fatal(err)
	}
	if err := <-changed; err != nil {
		t.Errorf("changed: %v", err)
	}
	l.patience = time.Hour
	closeLog(t, l)
}

// When the disk takes what waited, it takes what came meanwhile as well, at once: until then
// there may be no room.
func TestAfterAFullDiskAllIsWritten(t *testing.T) {
	t.Parallel()
	l := idle(t, Config{Dir: t.TempDir(), Queue: 4})
	good := l.writer.segment.records.file
	bad, err := os.Open(good.Name())
	if err != nil {
		t.Fatal(err)
	}
	l.writer.segment.records.file = bad // that cannot be written to
	l.Append(decision(1))
	if l.flush() == nil {
		t.Fatal("written")
	}
	for n := range 4 {
		l.Append(decision(2 + n))
	}
	l.writer.segment.records.file = good
	_ = bad.Close()
	flush(t, l)
	if info := l.Info(); info.Waiting != 0 || info.Size != 6 {
		t.Errorf("%+v", info)
	}
	if err := l.Reserve(); err != nil {
		t.Error(err)
	}
	closeLog(t, l)
}
