package auditlog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// batch is what is written together.
type batch struct {
	records []byte // lines
	hashes  []byte
	after   edge // the tree with it
	count   int
}

func (b *batch) empty() bool { return b.count == 0 }

// writer owns the files. One goroutine uses it.
type writer struct {
	config  Config
	keys    keys
	lock    *os.File
	tree    edge // what is on the disk
	segment segment
	pending batch // encoded, and not on the disk yet
	signed  time.Time
	message []byte // the newest checkpoint
	number  int64  // of that

	hashesLost bool // when it was opened, though a checkpoint covered them: no crash does that

	aged      bool  // a segment has begun, so an old one may have to go
	announced int64 // before this record, the log says, all is deleted
	deleted   int64 // and is
	recycle   []Record
}

// segment is the one that is written to.
type segment struct {
	first   int64
	born    time.Time
	records *appender
	hashes  *appender
	notes   *appender
}

// encode makes the pending batch of records, which it does not keep.
func (w *writer) encode(records []Record) {
	w.pending.records, w.pending.hashes = w.pending.records[:0], w.pending.hashes[:0]
	w.pending.after, w.pending.count = w.tree, 0
	for i := range records {
		w.add(&records[i])
	}
	if due := w.overdue(); due > w.announced {
		w.add(&Record{
			Time: w.config.Now(), Kind: KindRetention, KeptFrom: due, Detail: "the records before are deleted because of their age",
		})
		w.announced = due
	}
}

// add puts a record at the end of the pending batch.
func (w *writer) add(r *Record) {
	text, err := r.encode(w.config.Node, w.keys.pseudonyms)
	if err != nil {
		panic(err) // strings and numbers alone: cannot be
	}
	b := &w.pending
	b.records = append(append(b.records, text...), '\n')
	var complete [64]tlog.Hash
	for _, h := range b.after.add(tlog.RecordHash(text), complete[:0]) {
		b.hashes = append(b.hashes, h[:]...)
	}
	b.count++
}

// flush writes the pending batch, and then a checkpoint for it. After an error nothing
// of it counts, and all of it is tried again.
func (w *writer) flush() error {
	if w.pending.empty() {
		return nil
	}
	if err := w.inPlace(); err != nil {
		return err
	}
	if err := w.rotate(); err != nil {
		return err
	}
	if err := w.segment.notes.mend(); err != nil { // a checkpoint that failed goes before the records that it is of
		return err
	}
	if err := errors.Join(w.segment.hashes.write(w.pending.hashes), w.segment.records.write(w.pending.records)); err != nil {
		return err
	}
	if err := w.sign(w.pending.after); err != nil {
		return err
	}
	w.commit()
	return nil
}

// inPlace finds files that are written to and that somebody has moved or deleted: the lock, so
// that another process may write as well, or a part of the log, which nobody would read.
func (w *writer) inPlace() error {
	files := []*os.File{w.lock}
	for _, a := range []*appender{w.segment.notes, w.segment.hashes, w.segment.records} {
		if a != nil {
			files = append(files, a.file)
		}
	}
	for _, f := range files {
		if f == nil {
			continue // there is no lock on this system
		}
		opened, err := f.Stat()
		if err != nil {
			return err
		}
		if there, err := os.Stat(f.Name()); err != nil || !os.SameFile(opened, there) {
			return fmt.Errorf("%s was moved or deleted while the log is written", f.Name())
		}
	}
	return nil
}

// sign writes a checkpoint for what is on the disk.
func (w *writer) sign(tree edge) error {
	now := w.config.Now()
	c := Checkpoint{Origin: w.config.Origin, Size: tree.size, Root: tree.root(), Time: now, Number: w.number + 1}
	message, err := c.sign(w.keys.signer)
	if err != nil {
		return err
	}
	if err := w.segment.notes.write(message); err != nil {
		return err
	}
	w.segment.notes.keep(len(message))
	w.signed, w.message, w.number = now, message, c.Number
	return nil
}

// commit makes the batch part of the log.
func (w *writer) commit() {
	w.segment.records.keep(len(w.pending.records))
	w.segment.hashes.keep(len(w.pending.hashes))
	w.tree = w.pending.after
	for _, c := range w.config.Copies {
		c.Send(w.pending.records, w.message)
	}
	w.pending.count = 0
	w.deleteAnnounced()
}

// rotate begins a new segment when the old one is full, or there is none.
func (w *writer) rotate() error {
	s := &w.segment
	now := w.config.Now()
	if s.records != nil && s.first != w.tree.size {
		old := now.Sub(s.born).Abs() >= w.config.SegmentAge // also by a clock that was set back
		if !old && s.records.good < w.config.SegmentSize {
			return nil
		}
		if err := s.mend(); err != nil {
			return err
		}
		if err := s.close(); err != nil {
			return err
		}
	}
	if s.records != nil {
		return nil
	}
	return w.begin(now)
}

// begin makes the files of a segment. The records come last: with them it exists.
func (w *writer) begin(now time.Time) error {
	first := w.tree.size
	checkpoint := Checkpoint{Origin: w.config.Origin, Size: first, Root: w.tree.root(), Time: now, Number: w.number}
	message, err := checkpoint.sign(w.keys.signer)
	if err != nil {
		return err
	}
	if err := replaceFile(segmentPath(w.config.Dir, first, startSuffix), startFile(message, &w.tree), 0o640); err != nil {
		return err
	}
	for _, suffix := range []string{recordsSuffix, hashesSuffix, checkpointsSuffix} { // of a beginning that a crash ended
		if err := removeFile(segmentPath(w.config.Dir, first, suffix)); err != nil {
			return err
		}
	}
	w.aged = true
	return w.openSegment(segment{first: first, born: now}, 0, 0, 0)
}

// openSegment opens the files for writing, where so much of each is good.
func (w *writer) openSegment(s segment, records, hashes, notes int64) error {
	for _, f := range []struct {
		file   **appender
		suffix string
		good   int64
	}{{&s.notes, checkpointsSuffix, notes}, {&s.hashes, hashesSuffix, hashes}, {&s.records, recordsSuffix, records}} {
		var err error
		if f.suffix == recordsSuffix { // whoever sees it finds the others
			err = syncDir(w.config.Dir)
		}
		if err != nil {
			return errors.Join(err, s.close())
		}
		if *f.file, err = openAppender(segmentPath(w.config.Dir, s.first, f.suffix), f.good); err != nil {
			return errors.Join(err, s.close())
		}
	}
	w.segment = s
	return syncDir(w.config.Dir)
}

// mend cuts off what an earlier try has left, checkpoints first.
func (s *segment) mend() error {
	for _, f := range []*appender{s.notes, s.hashes, s.records} {
		if err := f.mend(); err != nil {
			return err
		}
	}
	return nil
}

func (s *segment) close() error {
	var err error
	for _, f := range []**appender{&s.notes, &s.hashes, &s.records} {
		if *f != nil {
			err = errors.Join(err, (*f).close())
			*f = nil
		}
	}
	return err
}

// overdue gives the first record that is young enough to keep: the start of the segment
// before which all have ended long ago. The segment that is written to stays.
func (w *writer) overdue() int64 {
	if w.config.Keep == 0 || !w.aged {
		return 0
	}
	w.aged = false
	firsts, err := segments(w.config.Dir)
	if err != nil {
		return 0
	}
	kept := int64(0)
	for _, first := range firsts {
		_, start, err := readStart(w.config.Dir, first, w.keys.verifier)
		if err != nil {
			continue // the next one says as much about what is before it
		}
		if w.config.Now().Sub(start.Time) < w.config.Keep {
			break
		}
		kept = first // what is before this segment had ended when it began
	}
	return kept
}

// deleteAnnounced deletes what the log itself says is deleted. What cannot be deleted
// now is deleted with the next segment that is too old.
func (w *writer) deleteAnnounced() {
	if w.announced == w.deleted {
		return
	}
	w.deleted = w.announced
	entries, err := os.ReadDir(w.config.Dir)
	if err != nil {
		return
	}
	for _, suffix := range suffixes {
		for _, entry := range entries {
			if first, ok := segmentNumber(entry.Name(), suffix); ok && first < w.announced {
				_ = os.Remove(filepath.Join(w.config.Dir, entry.Name()))
			}
		}
	}
}

func (w *writer) close() error {
	err := w.segment.close()
	if w.lock != nil {
		err = errors.Join(err, w.lock.Close())
	}
	return err
}
