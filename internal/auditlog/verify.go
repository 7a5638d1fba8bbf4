package auditlog

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Fault is the first thing that a verification found wrong. No part of the log behind
// it is vouched for.
type Fault struct {
	// File is the one that shows it, without its folder.
	File string
	// First and Last are the records that are concerned, counted from the log's very
	// first. They are the same where it is known which record it is.
	First, Last int64
	// What is wrong, in words.
	What string
}

// Error says all of it.
func (f *Fault) Error() string {
	if f.First == f.Last {
		return fmt.Sprintf("%s: record %d: %s", f.File, f.First, f.What)
	}
	return fmt.Sprintf("%s: records %d to %d: %s", f.File, f.First, f.Last, f.What)
}

// Report is what a verification found.
type Report struct {
	// First is the first record that is there: not zero where the log's beginning was
	// deleted, which the log then says itself.
	First int64
	// Size is how many records the newest checkpoint commits to, from the very first on.
	Size int64
	// Newest is the newest checkpoint, and Message the note as it was signed.
	Newest  Checkpoint
	Message []byte
	// Checkpoints counts those that were verified.
	Checkpoints int64
	// Unnumbered counts those among them that have no number: one that was taken away from
	// between them leaves nothing to find.
	Unnumbered int64
	// ClockSetBack counts how often one is older than the one before it by the signer's
	// clock. Their order is that of their sizes.
	ClockSetBack int64
	// Uncovered counts whole records behind the newest checkpoint. A log that is being
	// written has some for a moment, one that was closed has none.
	Uncovered int64
	// Torn says that half a line follows, or hashes of a record that is not there. A crash
	// leaves that, and so does a look at a log that is being written.
	Torn bool
}

// Expect is what a verification is to hold the log to, beside its own checkpoints.
type Expect struct {
	// Live allows for records that no checkpoint covers yet: the log is being written.
	Live bool
	// Kept are signed checkpoints that were kept elsewhere. The log has to contain what
	// they commit to.
	Kept [][]byte
}

// Verify reads a whole log, in memory that does not grow with it. The error is a *Fault
// where the log is not what was signed. The beginning of a live log may be deleted
// meanwhile, because of its age: then it is read once more.
func Verify(dir string, verifier note.Verifier, expect Expect) (Report, error) {
	for range 3 {
		before, _ := segments(dir)
		report, err := verify(dir, verifier, expect)
		after, _ := segments(dir)
		if err == nil || !expect.Live || len(before) == 0 || len(after) == 0 || before[0] == after[0] {
			return report, err
		}
	}
	return verify(dir, verifier, expect)
}

func verify(dir string, verifier note.Verifier, expect Expect) (Report, error) {
	v := verification{dir: dir, verifier: verifier, keptFrom: -1}
	if err := v.expect(expect.Kept); err != nil {
		return v.report, err
	}
	firsts, halves, err := listSegments(dir)
	if err != nil {
		return v.report, err
	}
	if len(firsts) == 0 {
		return v.report, absent(dir, halves)
	}
	for n, first := range firsts {
		if err := v.segment(first, n == 0, n == len(firsts)-1); err != nil {
			return v.report, err
		}
	}
	if err := v.wholeness(halves); err != nil {
		return v.report, err
	}
	return v.report, v.conclude(expect.Live)
}

// verification is the state of one, at a record.
type verification struct {
	dir      string
	verifier note.Verifier
	report   Report
	tree     edge
	number   int64        // of the checkpoint that was verified last
	next     Checkpoint   // that is being read up to
	keptFrom int64        // what the log says of its own beginning
	kept     []Checkpoint // in the order of their sizes
	file     string       // that is being read
	latest   time.Time    // what the signer's clock said last
}

// clock notes what the signer's clock said. It proves nothing, and may have been set.
func (v *verification) clock(at time.Time) {
	if at.Before(v.latest) {
		v.report.ClockSetBack++
	}
	v.latest = at
}

// withoutPath leaves out where the log is: the fault says in which file.
func withoutPath(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}

func (v *verification) fault(first, last int64, format string, values ...any) error {
	return &Fault{File: v.file, First: first, Last: last, What: fmt.Sprintf(format, values...)}
}

// expect reads the checkpoints that were kept.
func (v *verification) expect(kept [][]byte) error {
	for _, message := range kept {
		c, err := OpenCheckpoint(message, v.verifier)
		if err != nil {
			return fmt.Errorf("the kept checkpoint: %w", err)
		}
		v.kept = append(v.kept, c)
	}
	slices.SortFunc(v.kept, func(a, b Checkpoint) int { return cmp.Compare(a.Size, b.Size) })
	return nil
}

// segment verifies one, from where the one before ended.
func (v *verification) segment(first int64, isFirst, isLast bool) error {
	v.file = filepath.Base(segmentPath("", first, startSuffix))
	start, checkpoint, err := readStart(v.dir, first, v.verifier)
	if err != nil {
		return v.fault(first, first, "%v", withoutPath(err))
	}
	v.next = checkpoint
	switch {
	case isFirst:
		v.tree, v.report.First, v.number = start, first, checkpoint.Number
		if err := v.meetKept(); err != nil {
			return err
		}
	case first != v.tree.size:
		return v.fault(min(first, v.tree.size), max(first, v.tree.size)-1, "a segment is missing, or is there twice: the one before ends at %d", v.tree.size)
	case start.root() != v.tree.root():
		return v.fault(first, first, "the segment does not follow from the one before")
	case checkpoint.Number != v.number:
		return v.fault(first, first, "the segment does not follow from the checkpoints before")
	}
	v.clock(checkpoint.Time)
	return v.files(first, isLast)
}

// files reads the three files of a segment side by side.
func (v *verification) files(first int64, isLast bool) error {
	s := stream{v: v, suspect: -1}
	for _, f := range []struct {
		reader **bufio.Reader
		suffix string
	}{{&s.records, recordsSuffix}, {&s.hashes, hashesSuffix}, {&s.notes, checkpointsSuffix}} {
		path := segmentPath(v.dir, first, f.suffix)
		file, err := openFile(path)
		if err != nil {
			v.file = filepath.Base(path)
			return v.fault(first, first, "%v", withoutPath(err))
		}
		defer func() { _ = file.Close() }()
		*f.reader = bufio.NewReaderSize(file, 1<<18)
	}
	s.recordsFile = filepath.Base(segmentPath("", first, recordsSuffix))
	s.hashesFile = filepath.Base(segmentPath("", first, hashesSuffix))
	s.notesFile = filepath.Base(segmentPath("", first, checkpointsSuffix))
	return s.verify(isLast)
}

// stream reads the files of a segment.
type stream struct {
	v                                  *verification
	records, hashes, notes             *bufio.Reader
	recordsFile, hashesFile, notesFile string

	suspect int64 // the first record since the last checkpoint that is not as its hash says
}

// verify goes from checkpoint to checkpoint, and then looks at what is behind the last.
func (s *stream) verify(isLast bool) error {
	v := s.v
	for {
		message, err := readNote(s.notes)
		if err == io.EOF {
			break
		}
		if errors.Is(err, io.ErrUnexpectedEOF) && isLast {
			v.report.Torn = true
			break
		}
		v.file = s.notesFile
		if err != nil {
			return v.fault(v.tree.size, v.tree.size, "a checkpoint is cut")
		}
		checkpoint, err := OpenCheckpoint(message, v.verifier)
		if err != nil {
			return v.fault(v.tree.size, v.tree.size, "the checkpoint behind is not signed by this log's key: %v", err)
		}
		if err := s.advance(checkpoint); err != nil {
			return err
		}
		v.report.Message = message
	}
	return s.behind(isLast)
}

// advance reads up to a checkpoint.
func (s *stream) advance(c Checkpoint) error {
	v := s.v
	if c.Size <= v.tree.size {
		return v.fault(v.tree.size, v.tree.size, "a checkpoint of %d records is out of order", c.Size)
	}
	if !c.follows(v.number) {
		return v.fault(v.tree.size, c.Size-1, "%s", gap(v.number, c.Number))
	}
	from := v.tree.size
	s.suspect, v.next = -1, c
	for v.tree.size < c.Size {
		text, err := readLine(s.records)
		if err != nil {
			return s.missing(c, err)
		}
		if err := s.add(text); err != nil {
			return err
		}
	}
	if v.tree.root() != c.Root {
		return s.locate(from, c.Size-1)
	}
	if s.suspect >= 0 {
		v.file = s.hashesFile
		return v.fault(s.suspect, s.suspect, "the record is as it was signed, but its stored hash was altered")
	}
	v.clock(c.Time)
	v.number = c.Number
	v.report.Checkpoints++
	if c.Number == unnumbered {
		v.report.Unnumbered++
	}
	v.report.Newest, v.report.Size = c, c.Size
	return nil
}

// gap tells of a checkpoint that does not follow the one before it.
func gap(before, number int64) string {
	switch {
	case number == unnumbered:
		return "their checkpoint has no number, and that before it has one: put in"
	case number > before:
		return fmt.Sprintf("their checkpoint has the number %d, and those with %d to %d were removed", number, before+1, number-1)
	default:
		return fmt.Sprintf("their checkpoint has the number %d, and that before it %d: put in", number, before)
	}
}

// missing tells of records that are not all there. If one before them is not what was
// signed, then that is where the fault begins.
func (s *stream) missing(c Checkpoint, err error) error {
	v := s.v
	v.file = s.recordsFile
	switch {
	case s.suspect >= 0:
		return s.locate(0, 0)
	case errors.Is(err, errLong):
		return v.fault(v.tree.size, v.tree.size, "%v", err)
	default:
		return v.fault(v.tree.size, c.Size-1, "missing, though a checkpoint covers them")
	}
}

// locate names the first record that is not what was signed: the stored hashes tell
// which, unless they were made to fit.
func (s *stream) locate(from, to int64) error {
	s.v.file = s.recordsFile
	if s.suspect >= 0 {
		return s.v.fault(s.suspect, s.suspect, "altered, removed or put in: it is not what was signed")
	}
	return s.v.fault(from, to, "at least one was altered, removed or put in, and the stored hashes with it")
}

// add takes a record into the tree and compares the hashes that are stored for it.
func (s *stream) add(text []byte) error {
	v := s.v
	record := v.tree.size
	var complete [64]tlog.Hash
	var stored tlog.Hash
	for _, h := range v.tree.add(tlog.RecordHash(text), complete[:0]) {
		if _, err := io.ReadFull(s.hashes, stored[:]); (err != nil || stored != h) && s.suspect < 0 {
			s.suspect = record
		}
	}
	if bytes.Contains(text, []byte(`"kind":"`+string(KindRetention)+`"`)) {
		var said line
		if json.Unmarshal(text, &said) == nil && said.Kind == KindRetention {
			v.keptFrom = max(v.keptFrom, said.KeptFrom)
		}
	}
	return v.meetKept()
}

// meetKept compares the tree with the checkpoints that were kept of this size.
func (v *verification) meetKept() error {
	for len(v.kept) > 0 && v.kept[0].Size <= v.tree.size {
		c := v.kept[0]
		v.kept = v.kept[1:]
		if c.Size < v.tree.size {
			return fmt.Errorf("the kept checkpoint of %s covers %d records, and those before %d were deleted since because of their age: it can no longer be compared",
				c.Time.Format(time.RFC3339), c.Size, v.tree.size)
		}
		if c.Root != v.tree.root() {
			return v.fault(0, c.Size-1, "the log is another one than when the kept checkpoint was signed at %s", c.Time.Format(time.RFC3339))
		}
		if v.next.Size != c.Size || v.next.Number != c.Number { // a crash takes none that anybody could have kept
			return v.fault(c.Size, c.Size, "the records before are as they were, but the checkpoint that was kept, of %s, is not in the log any more", c.Time.Format(time.RFC3339))
		}
	}
	return nil
}

// behind looks at what no checkpoint of the segment covers. Only at the log's end may
// there be anything.
func (s *stream) behind(isLast bool) error {
	v := s.v
	if _, err := s.hashes.ReadByte(); err != io.EOF {
		if v.file = s.hashesFile; !isLast {
			return v.fault(v.tree.size, v.tree.size, "there are hashes of records that are not there")
		}
		v.report.Torn = true
	}
	v.file = s.recordsFile
	for {
		_, err := readLine(s.records)
		if err == io.EOF {
			return nil
		}
		if !isLast {
			return v.fault(v.tree.size, v.tree.size, "put in: no checkpoint covers it")
		}
		if err != nil {
			v.report.Torn = true
			return nil
		}
		v.report.Uncovered++
	}
}

// wholeness finds segments whose records were taken away and whose other files were left.
// Those before the first one are what is left of a deletion.
func (v *verification) wholeness(halves []int64) error {
	for _, first := range halves {
		if first > v.report.First && recordsTaken(v.dir, first, v.tree.size+v.report.Uncovered) {
			v.file = filepath.Base(segmentPath("", first, recordsSuffix))
			return v.fault(first, first, "missing with all behind it, though other files of its segment are there")
		}
	}
	return nil
}

// conclude judges the log as a whole.
func (v *verification) conclude(live bool) error {
	if v.report.First > 0 && v.keptFrom < v.report.First {
		v.file = filepath.Base(v.dir)
		return v.fault(0, v.report.First-1, "missing, and the log does not say that they were deleted because of their age")
	}
	if len(v.kept) > 0 {
		c := v.kept[len(v.kept)-1]
		v.file = filepath.Base(v.dir)
		return v.fault(v.report.Size, c.Size-1, "missing: the kept checkpoint of %s covers them", c.Time.Format(time.RFC3339))
	}
	if !live && (v.report.Uncovered > 0 || v.report.Torn) {
		return v.fault(v.report.Size, v.report.Size+max(v.report.Uncovered, 1)-1, "no checkpoint covers what is at the end: put in, or left by a crash, or the log is being written")
	}
	return nil
}
