package auditlog

import (
	"crypto/sha256"
	"flag"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

var (
	rate   = flag.Int("rate", 2000, "records a second in TestSustained")
	length = flag.Duration("length", time.Second, "how long TestSustained appends")
	busy   = flag.Bool("busy", false, "TestSustained: other work takes each core meanwhile")
)

// TestSustained appends records at a rate, as required ones, for a while: none is refused
// or lost, what waits does not grow, and all verify. "make audit" has the rate that is
// promised, beside work that would take all cores.
func TestSustained(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(Config{Dir: dir, Origin: origin})
	if err != nil {
		t.Fatal(err)
	}
	stop, work := burn()
	before := cpu()
	start, waited := time.Now(), 0
	sent := 0
	r := decision(1)
	for elapsed := time.Duration(0); elapsed < *length; elapsed = time.Since(start) {
		for due := int(elapsed.Seconds() * float64(*rate)); sent < due; sent++ {
			if err := l.Reserve(); err != nil {
				t.Fatalf("record %d: %v", sent, err)
			}
			r.Time = time.Now()
			l.AppendReserved(r)
		}
		waited = max(waited, l.Info().Waiting)
		time.Sleep(time.Millisecond)
	}
	took, used := time.Since(start), cpu()-before
	stop()
	closeLog(t, l)
	if info := l.Info(); info.Lost > 0 || info.Failures > 0 {
		t.Errorf("%+v", info)
	}
	report, err := Verify(dir, verifierOf(t, dir), Expect{})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d records in %v: %.0f a second; at most %d waited; the process took %.2f s of CPU a second, beside %d other units of work; %d verified",
		sent, took.Round(time.Millisecond), float64(sent)/took.Seconds(), waited, used.Seconds()/took.Seconds(), work.Load(), report.Size)
	if *busy && float64(sent) < 0.99*float64(*rate)*length.Seconds() {
		t.Errorf("only %d records", sent)
	}
}

// burn keeps each core busy until it is stopped, where that is asked for.
func burn() (stop func(), work *atomic.Int64) {
	work = new(atomic.Int64)
	if !*busy {
		return func() {}, work
	}
	var wait sync.WaitGroup
	var over atomic.Bool
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for block := make([]byte, 4096); !over.Load(); work.Add(1) {
				sum := sha256.Sum256(block)
				copy(block, sum[:])
			}
		})
	}
	return func() { over.Store(true); wait.Wait() }, work
}

// cpu is what the process has taken so far.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
