package auditlog

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The test binary is also a program that writes a log, so that it can be killed.
const (
	childVariable  = "AUDITLOG_TEST_WRITES_TO"
	roundsVariable = "ROUNDS"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		os.Exit(child(dir))
	}
	os.Exit(m.Run())
}

// child writes records until it is killed, or until its standard input ends. A number
// on its input is how large a file may grow from now on: a disk that is full.
func child(dir string) int {
	signal.Ignore(syscall.SIGXFSZ)
	l, err := Open(Config{
		Dir: dir, Origin: origin, Interval: 3 * time.Millisecond, SegmentSize: 8 << 10, Queue: 512,
		Changed: func(err error) { fmt.Println("changed", err != nil) },
	})
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	go func() {
		for n := 0; ; n++ {
			if l.Reserve() == nil {
				l.AppendReserved(decision(n))
			}
			if n%20 == 0 {
				time.Sleep(time.Millisecond) // a load, not a test of what the machine can do
			}
		}
	}()
	fmt.Println("open")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		size, err := strconv.ParseUint(lines.Text(), 10, 64)
		if err != nil {
			return 1
		}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: ^uint64(0)}); err != nil {
			fmt.Println("error", err)
			return 1
		}
	}
	return 0 // without Close: as a crash would
}

// writing is a running child.
type writing struct {
	cmd    *exec.Cmd
	input  io.WriteCloser
	output *bufio.Scanner
}

func startChild(t *testing.T, dir string) *writing {
	t.Helper()
	w := &writing{cmd: exec.Command(os.Args[0])}
	w.cmd.Env = append(os.Environ(), childVariable+"="+dir)
	output, err := w.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if w.input, err = w.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.output = bufio.NewScanner(output)
	w.await(t, "open")
	return w
}

// await reads on to a line.
func (w *writing) await(t *testing.T, want string) {
	t.Helper()
	for w.output.Scan() {
		if w.output.Text() == want {
			return
		}
		if strings.HasPrefix(w.output.Text(), "error") {
			t.Fatal(w.output.Text())
		}
	}
	t.Fatalf("the child ended before it said %q", want)
}

func (w *writing) kill() {
	_ = w.cmd.Process.Kill()
	_ = w.cmd.Wait()
}

// published gives the newest checkpoint that anybody could have seen.
func published(dir string) ([]byte, error) {
	verifier, err := ReadPublicKey(filepath.Join(dir, publicKeyFile))
	if err != nil {
		return nil, err
	}
	firsts, err := segments(dir)
	if err != nil {
		return nil, err
	}
	message, _, err := newest(dir, firsts, verifier)
	return message, err
}

// Killed at any moment, the log goes on by itself, and holds all that a published
// checkpoint ever covered.
func TestCrashesLoseNothingThatWasPublished(t *testing.T) {
	t.Parallel()
	rounds := 25
	if text := os.Getenv(roundsVariable); text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil {
			t.Fatalf("%s: %v", roundsVariable, err)
		}
	}
	dir := t.TempDir()
	var kept [][]byte
	torn := 0
	for range rounds {
		w := startChild(t, dir)
		time.Sleep(rand.N(20 * time.Millisecond)) // the moment is the point
		message, err := published(dir)
		w.kill()
		if err == nil { // a look between two files of a new segment sees none
			kept = append(kept, message)
		}
		report, err := Verify(dir, verifierOf(t, dir), Expect{Live: true, Kept: kept})
		if err != nil {
			t.Fatal(err)
		}
		if report.Torn {
			torn++
		}
	}
	if len(kept) < rounds/2 {
		t.Errorf("%d of %d looks saw a checkpoint", len(kept), rounds)
	}
	closeLog(t, idle(t, Config{Dir: dir}))
	report, err := Verify(dir, verifierOf(t, dir), Expect{Kept: kept})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d crashes, %d of them inside a line, %d records, %d checkpoints kept", rounds, torn, report.Size, len(kept))
}

// What a crash tears is cut off and said; what was altered is not gone on with.
func TestRecovery(t *testing.T) {
	t.Parallel()
	source := t.TempDir()
	write(t, source, 3, 3)
	firsts, err := segments(source)
	if err != nil {
		t.Fatal(err)
	}
	last := firsts[len(firsts)-1]
	for name, test := range map[string]struct {
		harm      func(dir string)
		refused   bool
		recovered bool
	}{
		"nothing": {func(string) {}, false, false},
		"half a record": {func(dir string) {
			path := segmentPath(dir, last, recordsSuffix)
			overwrite(t, path, append(read(t, path), `{"time":"2026`...))
		}, false, true},
		"half a checkpoint": {func(dir string) {
			path := segmentPath(dir, last, checkpointsSuffix)
			overwrite(t, path, append(read(t, path), origin+"\n12"...))
		}, false, false},
		"hashes that did not reach the disk": {func(dir string) {
			overwrite(t, segmentPath(dir, last, hashesSuffix), nil)
		}, false, true},
		"some hashes that did not": {func(dir string) {
			path := segmentPath(dir, last, hashesSuffix)
			content := read(t, path)
			overwrite(t, path, content[:len(content)/2+7])
		}, false, true},
		"a hash that was altered": {func(dir string) {
			path := segmentPath(dir, last, hashesSuffix)
			content := read(t, path)
			content[20] ^= 1
			overwrite(t, path, content)
		}, false, true},
		"hashes of records that did not": {func(dir string) {
			path := segmentPath(dir, last, hashesSuffix)
			overwrite(t, path, append(read(t, path), make([]byte, 100)...))
		}, false, false},
		"a whole record without a checkpoint": {func(dir string) {
			path := segmentPath(dir, last, recordsSuffix)
			overwrite(t, path, append(read(t, path), `{"time":"2026-11-26T12:00:00.000000Z","kind":"decision"}`+"\n"...))
		}, false, false},
		"a page that did not reach the disk": {func(dir string) {
			path := segmentPath(dir, last, recordsSuffix)
			overwrite(t, path, append(append(read(t, path), make([]byte, 4096)...), `"api":"payments"}`+"\n"+`{"time":"2026-11-26T12:00:00.000000Z","kind":"decision"}`+"\n"...))
		}, false, true},
		"many pages that did not": {func(dir string) {
			path := segmentPath(dir, last, recordsSuffix)
			overwrite(t, path, append(read(t, path), make([]byte, 3*maxLine)...))
		}, false, true},
		"pages of checkpoints that did not": {func(dir string) {
			path := segmentPath(dir, last, checkpointsSuffix)
			overwrite(t, path, append(read(t, path), make([]byte, 8192)...))
		}, false, false},
		"a segment that did not begin": {func(dir string) { beginHalf(t, dir) }, false, false},
		"records that were taken away": {func(dir string) {
			_ = os.Remove(segmentPath(dir, last, recordsSuffix))
		}, true, false},
		"all records that were taken away": {func(dir string) {
			for _, first := range firsts {
				_ = os.Remove(segmentPath(dir, first, recordsSuffix))
			}
		}, true, false},
		"a record that was altered": {func(dir string) {
			path := segmentPath(dir, last, recordsSuffix)
			content := read(t, path)
			content[20] ^= 1
			overwrite(t, path, content)
		}, true, false},
		"records that are gone": {func(dir string) { overwrite(t, segmentPath(dir, last, recordsSuffix), nil) }, true, false},
		"a start file that is gone": {func(dir string) {
			_ = os.Remove(segmentPath(dir, last, startSuffix))
		}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := copyLog(t, source)
			test.harm(dir)
			l, err := open(Config{Dir: dir, Origin: origin})
			if test.refused {
				if !errors.Is(err, ErrAltered) {
					t.Errorf("opened: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			close(l.done)
			closeLog(t, l)
			if _, err := Verify(dir, verifierOf(t, dir), Expect{}); err != nil {
				t.Error(err)
			}
			said := false
			_ = Records(dir, 0, func(_ int64, text []byte) bool {
				said = said || strings.Contains(string(text), `"kind":"recovered"`)
				return true
			})
			if said != test.recovered {
				t.Errorf("the log says that it recovered: %v", said)
			}
		})
	}
}

// A checkpoint whose sync has failed may be on the disk. It is gone before the records that
// it is of are written again: a crash between the two would look like records that are gone.
func TestAFailedCheckpointGoesFirst(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := idle(t, Config{Dir: dir})
	w := &l.writer
	l.Append(decision(1))
	w.encode(l.take())
	if err := errors.Join(w.segment.hashes.write(w.pending.hashes), w.segment.records.write(w.pending.records), w.sign(w.pending.after)); err != nil {
		t.Fatal(err)
	}
	w.segment.notes.good -= int64(len(w.message)) // as if its sync had failed
	w.segment.notes.torn = true
	if err := os.Truncate(w.segment.records.file.Name(), w.segment.records.good); err != nil { // where the next try begins
		t.Fatal(err)
	}
	readOnly, err := os.Open(w.segment.records.file.Name())
	if err != nil {
		t.Fatal(err)
	}
	w.segment.records.file = readOnly // and fails
	if l.flush() == nil {
		t.Fatal("flushed")
	}
	_ = w.lock.Close()
	again := idle(t, Config{Dir: dir})
	closeLog(t, again)
	if _, err := Verify(dir, verifierOf(t, dir), Expect{}); err != nil {
		t.Error(err)
	}
}

// A disk that is full stops the log, not its records: they wait, and are written when
// there is room again.
func TestAFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := startChild(t, dir)
	defer w.kill()
	for _, full := range []bool{true, false, true, false} {
		limit := ^uint64(0)
		if full {
			limit = 1000
		}
		if _, err := fmt.Fprintln(w.input, limit); err != nil {
			t.Fatal(err)
		}
		w.await(t, fmt.Sprint("changed ", full))
	}
	w.kill()
	closeLog(t, idle(t, Config{Dir: dir}))
	if _, err := Verify(dir, verifierOf(t, dir), Expect{}); err != nil {
		t.Fatal(err)
	}
	next := 0 // the records are there in their order, none twice, none left out
	_ = Records(dir, 0, func(number int64, text []byte) bool {
		_, rest, isDecision := strings.Cut(string(text), `"request_id":"request-`)
		if !isDecision {
			return true
		}
		n, err := strconv.Atoi(rest[:strings.IndexByte(rest, '"')])
		if err != nil || n < next {
			t.Errorf("record %d is of request %d, after %d", number, n, next)
		}
		next = n + 1
		return true
	})
	if next == 0 {
		t.Error("no record")
	}
}
