// Package auditlog is a log whose records cannot be changed unseen. Records are the
// leaves of a Merkle tree (RFC 6962); a signed checkpoint, at least each second in
// which there was something to record, commits to all of them. The files and a
// public key are enough to verify it.
//
// # What a folder holds
//
// Segments of four files each, and the keys. A segment's records are JSON, one a line.
// Beside them are the tree's hashes, so that a proof needs no other record; the
// checkpoints; and a start file, from which the segment is verified when those before
// it have been deleted because of their age.
//
// # What is promised
//
// A checkpoint is written after what it commits to is on the disk, so a record that a
// published checkpoint covers survives any crash. A record that could not be written
// yet waits in memory, within a bound; what finds no room there is counted, and the
// count is recorded. [Log.Reserve] is for callers who would rather not do what cannot
// be recorded.
//
// Whoever has the signing key can write another history. Only a checkpoint that
// somebody else has kept shows that.
package auditlog

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
)

const (
	defaultInterval    = time.Second
	defaultPatience    = 10 * time.Second
	defaultQueue       = 1 << 16
	defaultSegmentSize = 64 << 20
	defaultSegmentAge  = 24 * time.Hour
)

// Config is what a log is opened with.
type Config struct {
	// Dir is the log's folder. It is made if it is missing.
	Dir string
	// Origin names the log in its checkpoints and its key: "edge-1.example.com/audit". It
	// has neither blanks nor a plus sign. Each node has a log, and a name, of its own.
	// Empty: the name that the key has, and the host's when there is no key yet.
	Origin string
	// Node is in each record; Origin when empty.
	Node string
	// SigningKey is a file; signing.key in Dir when empty. It is made if it is missing.
	SigningKey string
	// Interval is the longest time between a record and its checkpoint: a second when
	// zero, a second at most.
	Interval time.Duration
	// Queue is how many records may wait to be written: 65,536 when zero.
	Queue int
	// SegmentSize and SegmentAge are when a new segment is begun: 64 MiB, a day when zero.
	SegmentSize int64
	SegmentAge  time.Duration
	// Keep is how long a segment is kept after its end; for ever when zero.
	Keep time.Duration
	// Copies get each record once it is in the log. They may lose some.
	Copies []Copy
	// Changed is told when the log can no longer be written, and with nil when it can again.
	Changed func(error)
	// Now is the clock; time.Now when nil.
	Now func() time.Time
}

// Check says what is wrong with the configuration, and completes it. It opens nothing.
func (c Config) Check() (Config, error) {
	if c.Dir == "" {
		return c, errors.New("no folder")
	}
	if c.Origin != "" && !canName(c.Origin) {
		return c, fmt.Errorf("%.99q cannot name a log: a word of at most %d octets without blanks and plus signs can", c.Origin, maxOrigin)
	}
	if c.Interval < 0 || c.Interval > time.Second {
		return c, fmt.Errorf("interval %v is not within a second", c.Interval)
	}
	if c.Queue < 0 || c.SegmentSize < 0 || c.SegmentAge < 0 || c.Keep < 0 {
		return c, errors.New("a bound is negative")
	}
	setDefault(&c.Interval, defaultInterval)
	setDefault(&c.Queue, defaultQueue)
	setDefault(&c.SegmentSize, defaultSegmentSize)
	setDefault(&c.SegmentAge, defaultSegmentAge)
	setDefault(&c.SigningKey, filepath.Join(c.Dir, signingKeyFile))
	if c.Changed == nil {
		c.Changed = func(error) {}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c, nil
}

// maxOrigin bounds a name, which is in each checkpoint.
const maxOrigin = 255

// canName asks the library, by way of a key of that name.
func canName(origin string) bool {
	if len(origin) > maxOrigin {
		return false
	}
	key, err := note.NewEd25519VerifierKey(origin, make(ed25519.PublicKey, ed25519.PublicKeySize))
	if err != nil {
		return false
	}
	_, err = note.NewVerifier(key)
	return err == nil
}

func setDefault[T comparable](value *T, usual T) {
	var zero T
	if *value == zero {
		*value = usual
	}
}

// Log takes records. It is safe for concurrent use.
type Log struct {
	config Config
	writer writer
	wake   chan struct{}
	stop   chan struct{}
	done   chan struct{}

	patience time.Duration // for a try to write, before the log counts as one that cannot be written

	mu       sync.Mutex
	queue    []Record
	reserved int
	lost     uint64 // since the log was last written
	failing  error  // why the log cannot be written now
	pending  int    // taken from the queue by a try to write that failed
	closed   bool
	info     Info
}

// Info describes a log, for metrics.
type Info struct {
	Size       int64     // records in the tree
	Waiting    int       // records that are not written yet, those of a try that failed among them
	Lost       uint64    // records that found no room, in the life of this Log
	Checkpoint time.Time // when the newest checkpoint was signed
	Failures   uint64    // tries to write that failed
	Failing    bool      // the last one did
	CopiesLost uint64    // batches that a copy did not get
}

// Open opens the log, mends what a crash has left, and begins to write. A log that was
// altered is not opened.
func Open(c Config) (*Log, error) {
	l, err := open(c)
	if err != nil {
		return nil, errors.Join(err, closeCopies(c.Copies))
	}
	go l.run()
	return l, nil
}

// open is Open without the goroutine that writes.
func open(c Config) (*Log, error) {
	c, err := c.Check()
	if err != nil {
		return nil, err
	}
	if c.Origin == "" {
		if c.Origin, err = nameOf(c.SigningKey); err != nil {
			return nil, err
		}
	}
	setDefault(&c.Node, c.Origin)
	if err := os.MkdirAll(c.Dir, 0o750); err != nil {
		return nil, err
	}
	l := &Log{
		config: c, wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
		queue: make([]Record, 0, 64), patience: defaultPatience,
	}
	recovered, err := l.writer.open(c)
	if err != nil {
		return nil, fmt.Errorf("audit log %s: %w", c.Dir, err)
	}
	if recovered > 0 {
		l.Append(Record{Kind: KindRecovered, Count: uint64(recovered), Detail: "cut off what a crash had left of a line"})
	}
	if l.writer.hashesLost {
		l.Append(Record{Kind: KindRecovered, Detail: "stored hashes were not those of the records, which are as they were signed: written again"})
	}
	l.Append(Record{Kind: KindStarted})
	if err := l.flush(); err != nil {
		return nil, errors.Join(fmt.Errorf("audit log %s: %w", c.Dir, err), l.writer.close())
	}
	return l, nil
}

// ErrUnavailable says that a record could not be taken now.
var ErrUnavailable = errors.New("the audit log cannot take a record")

// Reserve makes sure of the room for one record, which AppendReserved then takes. It
// fails while the log cannot be written, or has no room.
func (l *Log) Reserve() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.failing != nil || len(l.queue)+l.reserved >= l.config.Queue {
		return ErrUnavailable
	}
	l.reserved++
	return nil
}

// AppendReserved adds a record for which there is room.
func (l *Log) AppendReserved(r Record) {
	l.mu.Lock()
	l.reserved--
	if l.closed {
		l.info.Lost++
	} else {
		l.add(r)
	}
	l.mu.Unlock()
}

// Append adds a record if there is room for it, and otherwise counts that it was lost.
func (l *Log) Append(r Record) {
	l.mu.Lock()
	if l.closed || len(l.queue)+l.reserved >= l.config.Queue {
		l.lost++
		l.info.Lost++
	} else {
		l.add(r)
	}
	l.mu.Unlock()
}

// add is called with the lock.
func (l *Log) add(r Record) {
	if r.Time.IsZero() {
		r.Time = l.config.Now()
	}
	l.queue = append(l.queue, r)
	if len(l.queue) == l.config.Queue/4 {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

// run writes what is there at each interval, and sooner when much is.
func (l *Log) run() {
	defer close(l.done)
	ticker := time.NewTicker(l.config.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-ticker.C:
		case <-l.wake:
		}
		_ = l.flush() // kept for the next time, and said through Changed
	}
}

// flush writes all that waits, and a checkpoint for it: what an earlier try left over first.
func (l *Log) flush() error {
	hung := time.AfterFunc(l.patience, l.hang)
	defer hung.Stop()
	err := l.writer.flush()
	if err == nil {
		l.writer.encode(l.take())
		err = l.writer.flush()
	}
	l.report(err)
	return err
}

// errHangs is what a disk says that says nothing.
var errHangs = errors.New("the disk has not answered for a while")

// hang is called when a try to write takes too long: it may never end, and what is taken
// meanwhile would be gone with the process.
func (l *Log) hang() {
	l.mu.Lock()
	changed := l.failing == nil
	if changed {
		l.failing = errHangs
	}
	l.mu.Unlock()
	if changed {
		l.config.Changed(errHangs)
	}
}

// take empties the queue. What was lost comes behind it: that is where it is missing.
func (l *Log) take() []Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	records := l.queue
	if l.lost > 0 {
		records = append(records, Record{
			Time: l.config.Now(), Kind: KindLost, Count: l.lost, Detail: "no room while the log could not be written",
		})
		l.lost = 0
	}
	l.queue = l.writer.recycle[:0]
	l.writer.recycle = records
	return records
}

// report keeps what the writer says for those who ask, and tells who wants to be told.
func (l *Log) report(err error) {
	l.mu.Lock()
	changed := (err == nil) != (l.failing == nil)
	l.failing = err
	l.pending = l.writer.pending.count
	if err != nil {
		l.info.Failures++
	} else {
		l.info.Size, l.info.Checkpoint = l.writer.tree.size, l.writer.signed
	}
	l.mu.Unlock()
	if changed {
		l.config.Changed(err)
	}
}

// Info describes the log as it is now.
func (l *Log) Info() Info {
	l.mu.Lock()
	defer l.mu.Unlock()
	info := l.info
	info.Waiting, info.Failing = len(l.queue)+l.pending, l.failing != nil
	for _, c := range l.config.Copies {
		info.CopiesLost += c.Lost()
	}
	return info
}

// Close writes what waits, and ends. The error says what could not be written.
func (l *Log) Close() error {
	l.Append(Record{Kind: KindStopped})
	close(l.stop)
	<-l.done
	l.mu.Lock()
	l.closed = true // a request that is still under way finds no log any more
	l.mu.Unlock()
	err := l.flush()
	if err != nil {
		err = fmt.Errorf("%d records are lost: %w", l.Info().Waiting, err)
	}
	return errors.Join(err, closeCopies(l.config.Copies), l.writer.close())
}

// closeCopies ends all at once, since each may take its time.
func closeCopies(copies []Copy) error {
	faults := make([]error, len(copies))
	var wait sync.WaitGroup
	for n, c := range copies {
		wait.Go(func() { faults[n] = c.Close() })
	}
	wait.Wait()
	return errors.Join(faults...)
}
