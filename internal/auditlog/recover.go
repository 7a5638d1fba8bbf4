package auditlog

import (
	"bufio"
	"bytes"
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
	if w.keys, err = loadKeys(c); err != nil {
		return 0, errors.Join(err, w.close())
	}
	firsts, err := segments(c.Dir)
	if err != nil {
		return 0, errors.Join(err, w.close())
	}
	if len(firsts) == 0 {
		return 0, nil
	}
	w.aged = true
	if recovered, err = w.resume(firsts[len(firsts)-1]); err != nil {
		return 0, errors.Join(err, w.close())
	}
	return recovered, nil
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
	end, err := replay(segmentPath(w.config.Dir, first, recordsSuffix), start, last)
	if err != nil {
		return 0, fmt.Errorf("segment %d: %w", first, err)
	}
	if err := w.openSegment(segment{first: first, born: checkpoint.Time}, end.octets, 0, notes); err != nil {
		return 0, err
	}
	w.tree, w.signed = end.tree, last.Time
	if err := w.restoreHashes(end.hashes); err != nil || end.tree.size == last.Size {
		return end.torn, err
	}
	return end.torn, w.sign(w.tree)
}

// restoreHashes writes the segment's hashes again: a crash may have kept them from the disk.
func (w *writer) restoreHashes(hashes []byte) error {
	if err := w.segment.hashes.write(hashes); err != nil {
		return err
	}
	w.segment.hashes.keep(len(hashes))
	return nil
}

// lastCheckpoint gives the newest checkpoint of a file, and how much of the file is good.
func lastCheckpoint(path string, verifier note.Verifier) (newest []byte, last Checkpoint, good int64, err error) {
	last.Size = -1
	f, err := os.Open(path)
	if err != nil {
		return nil, last, 0, err
	}
	defer func() { _ = f.Close() }()
	r := bufio.NewReader(f)
	for {
		message, err := readNote(r)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, last, good, err
		}
		if err != nil {
			break
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

// ending is where the records of a segment end.
type ending struct {
	tree   edge
	octets int64 // of whole lines
	torn   int64 // octets behind them
	hashes []byte
}

// replay computes the tree of a segment, and holds it to the checkpoint on its way.
func replay(path string, start edge, last Checkpoint) (ending, error) {
	end := ending{tree: start}
	f, err := os.Open(path)
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
		text, err := readLine(r)
		if err == io.EOF {
			break
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			end.torn = int64(len(text))
			break
		}
		if err != nil {
			return end, err
		}
		for _, h := range end.tree.add(tlog.RecordHash(text), complete[:0]) {
			end.hashes = append(end.hashes, h[:]...)
		}
		end.octets += int64(len(text)) + 1
	}
	if end.tree.size < last.Size {
		return end, fmt.Errorf("%w: records %d to %d are missing", ErrAltered, end.tree.size, last.Size-1)
	}
	return end, nil
}

// maxLine bounds what is read as one record.
const maxLine = 1 << 20

var errLong = fmt.Errorf("%w: a line is longer than any record", ErrAltered)

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
