package auditlog

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// ErrAltered says that the files are not what this log has signed. No crash does that.
var ErrAltered = errors.New("the log was altered")

// open takes the lock and the keys, and goes to the end of the log. It gives how many
// octets a crash had left of a line, which are cut off.
func (w *writer) open(c Config) (recovered int64, err error) {
	w.config = c
	if w.lock, err = lock(c.Dir); err != nil {
		return 0, err
	}
	if recovered, err = w.find(c); err != nil {
		return 0, errors.Join(err, w.close())
	}
	return recovered, nil
}

func (w *writer) find(c Config) (recovered int64, err error) {
	firsts, halves, err := listSegments(c.Dir)
	if err != nil {
		return 0, err
	}
	if err := newestIsWhole(c.Dir, firsts, halves); err != nil {
		return 0, err
	}
	if w.keys, err = loadKeys(c, len(firsts) == 0); err != nil {
		return 0, err
	}
	if len(firsts) == 0 {
		return 0, w.keys.publish(c.Dir)
	}
	if err := w.keys.isOfLog(c); err != nil {
		return 0, err
	}
	w.aged = true
	if recovered, err = w.resume(firsts[len(firsts)-1]); err != nil {
		return 0, err
	}
	return recovered, w.keys.publish(c.Dir)
}

// newestIsWhole finds records that were taken away behind the last segment, or all of them:
// another history would be signed in their place.
func newestIsWhole(dir string, firsts, halves []int64) error {
	for _, first := range halves {
		behind := len(firsts) == 0 || first > firsts[len(firsts)-1]
		if behind && recordsTaken(dir, first, first) {
			return fmt.Errorf("%w: segment %d: its records are missing", ErrAltered, first)
		}
	}
	return nil
}

// resume goes on with the last segment. What was written and not yet signed is kept and
// signed now: the next checkpoint may already be another segment's.
func (w *writer) resume(first int64) (recovered int64, err error) {
	start, checkpoint, err := readStart(w.config.Dir, first, w.keys.verifier)
	if err != nil {
		return 0, fmt.Errorf("%w: segment %d: %w", ErrAltered, first, err)
	}
	_, last, notes, err := lastCheckpoint(segmentPath(w.config.Dir, first, checkpointsSuffix), w.keys.verifier)
	if err != nil {
		return 0, fmt.Errorf("segment %d: %w", first, err)
	}
	if last.Size < first {
		last = checkpoint // a crash came before the segment's first
	}
	records := segmentPath(w.config.Dir, first, recordsSuffix)
	stored := compareHashes(segmentPath(w.config.Dir, first, hashesSuffix))
	end, err := replay(records, start, last, stored.meet)
	stored.close()
	if err != nil {
		return 0, fmt.Errorf("segment %d: %w", first, err)
	}
	if err := w.openSegment(segment{first: first, born: checkpoint.Time}, end.octets, stored.good, notes); err != nil {
		return 0, err
	}
	w.tree, w.signed, w.number = end.tree, last.Time, last.Number
	w.hashesLost = stored.missing && stored.good < hashesOf(first, last.Size)
	if stored.missing {
		if err := w.restoreHashes(records, start, last); err != nil {
			return 0, err
		}
	}
	if end.tree.size == last.Size {
		return end.torn, nil
	}
	return end.torn, w.sign(w.tree)
}

// storedPrefix is how far the file of hashes is as it has to be.
type storedPrefix struct {
	file    *os.File
	reader  *bufio.Reader
	good    int64
	missing bool // from good on
}

// hashesOf is how long the hashes of the records from one to another are.
func hashesOf(from, to int64) int64 {
	return (tlog.StoredHashCount(to) - tlog.StoredHashCount(from)) * tlog.HashSize
}

// compareHashes opens the file, which a crash may have kept from the disk.
func compareHashes(path string) *storedPrefix {
	file, err := openFile(path)
	if err != nil {
		return &storedPrefix{missing: true}
	}
	return &storedPrefix{file: file, reader: bufio.NewReaderSize(file, 1<<16)}
}

func (s *storedPrefix) meet(hashes []tlog.Hash) error {
	for _, h := range hashes {
		var stored tlog.Hash
		if s.missing {
			return nil
		}
		if _, err := io.ReadFull(s.reader, stored[:]); err != nil || stored != h {
			s.missing = true
			return nil
		}
		s.good += tlog.HashSize
	}
	return nil
}

func (s *storedPrefix) close() {
	if s.file != nil {
		_ = s.file.Close()
	}
}

// hashesAtOnce is how much of the hashes is in memory while they are written again.
const hashesAtOnce = 1 << 20

// restoreHashes writes the segment's hashes again, from where they are good.
func (w *writer) restoreHashes(records string, start edge, last Checkpoint) error {
	known := w.segment.hashes.good
	var waiting []byte
	write := func() error {
		err := w.segment.hashes.write(waiting)
		if err == nil {
			w.segment.hashes.keep(len(waiting))
		}
		waiting = waiting[:0]
		return err
	}
	_, err := replay(records, start, last, func(hashes []tlog.Hash) error {
		for _, h := range hashes {
			if known > 0 {
				known -= tlog.HashSize
				continue
			}
			waiting = append(waiting, h[:]...)
		}
		if len(waiting) < hashesAtOnce {
			return nil
		}
		return write()
	})
	if err != nil {
		return err
	}
	return write()
}

// lastCheckpoint gives the newest checkpoint of a file, and how much of the file is good.
func lastCheckpoint(path string, verifier note.Verifier) (newest []byte, last Checkpoint, good int64, err error) {
	last.Size = -1
	f, err := openFile(path)
	if err != nil {
		return nil, last, 0, err
	}
	defer func() { _ = f.Close() }()
	r := bufio.NewReader(f)
	for {
		message, err := readNote(r)
		if isTorn(message, err) {
			break
		}
		if err != nil {
			return nil, last, good, err
		}
		newest = message
		good += int64(len(message))
	}
	if newest == nil {
		return nil, last, 0, nil
	}
	if last, err = OpenCheckpoint(newest, verifier); err != nil {
		return nil, last, good, fmt.Errorf("%w: the newest checkpoint: %w", ErrAltered, err)
	}
	return newest, last, good, nil
}

// isTorn says whether a file of checkpoints ends there: with it, with a part of one, or with
// what a file system leaves where a page did not reach the disk, which are zeros.
func isTorn(message []byte, err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || bytes.IndexByte(message, 0) >= 0
}

// ending is where the records of a segment end.
type ending struct {
	tree   edge
	octets int64 // of whole lines
	torn   int64 // octets behind them
}

// replay computes the tree of a segment, and holds it to the checkpoint on its way. Each is
// told the hashes that become complete with a record. Behind the checkpoint the records end
// where a line is none: a crash does not always leave the beginning of what was written.
func replay(path string, start edge, last Checkpoint, each func([]tlog.Hash) error) (ending, error) {
	end := ending{tree: start}
	f, err := openFile(path)
	if err != nil {
		return end, err
	}
	defer func() { _ = f.Close() }()
	r := bufio.NewReaderSize(f, 1<<20)
	var complete [64]tlog.Hash
	for {
		if end.tree.size == last.Size && end.tree.root() != last.Root {
			return end, fmt.Errorf("%w: the records up to %d are not those of the checkpoint", ErrAltered, last.Size)
		}
		signed := end.tree.size < last.Size
		text, err := readLine(r)
		if err != nil && !signed && isEnd(err) || err == nil && !signed && !isRecord(text) {
			break
		}
		if err != nil && isEnd(err) {
			return end, fmt.Errorf("%w: records %d to %d are missing", ErrAltered, end.tree.size, last.Size-1)
		}
		if err != nil {
			return end, err
		}
		if err := each(end.tree.add(tlog.RecordHash(text), complete[:0])); err != nil {
			return end, err
		}
		end.octets += int64(len(text)) + 1
	}
	info, err := f.Stat()
	if err == nil {
		end.torn = info.Size() - end.octets
	}
	return end, err
}

// isEnd says whether there is no whole line of a record.
func isEnd(err error) bool {
	return err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errLong)
}

// isRecord says whether a line looks like what encode gives.
func isRecord(text []byte) bool {
	return bytes.HasPrefix(text, []byte(`{"time":"`)) && json.Valid(text)
}

// maxLine bounds what is read as one record.
const maxLine = 1 << 20

var errLong = errors.New("a line is longer than any record")

// readLine reads a line without its end. What it gives holds until the next call.
func readLine(r *bufio.Reader) ([]byte, error) {
	text, err := r.ReadSlice('\n')
	if err == nil {
		return text[:len(text)-1], nil
	}
	if !errors.Is(err, bufio.ErrBufferFull) {
		return atEnd(text, err)
	}
	long := slices.Clone(text)
	for errors.Is(err, bufio.ErrBufferFull) && len(long) <= maxLine {
		text, err = r.ReadSlice('\n')
		long = append(long, text...)
	}
	if len(long) > maxLine {
		return nil, errLong
	}
	if err == nil {
		return bytes.TrimSuffix(long, []byte{'\n'}), nil
	}
	return atEnd(long, err)
}

func atEnd(text []byte, err error) ([]byte, error) {
	if err == io.EOF && len(text) > 0 {
		return text, io.ErrUnexpectedEOF
	}
	return text, err
}
