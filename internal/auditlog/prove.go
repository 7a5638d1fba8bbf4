package auditlog

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Proof shows that a record is in a log, to somebody who has nothing of it but its
// public key (RFC 6962 section 2.1.1).
type Proof struct {
	// Record is the line, and Number its place, counted from the log's very first.
	Record string `json:"record"`
	Number int64  `json:"number"`
	// Hashes are the audit path, from the record up.
	Hashes []tlog.Hash `json:"hashes"`
	// Checkpoint is the signed note that commits to the record.
	Checkpoint string `json:"checkpoint"`
}

// NotYet says of a record that it is not there, or not signed: while the log is written, it
// may be in a moment.
type NotYet struct{ What string }

// Error says it.
func (e *NotYet) Error() string { return e.What }

// Prove makes the proof of a record of the folder.
func Prove(dir string, number int64, verifier note.Verifier) (Proof, error) {
	proof := Proof{Number: number}
	firsts, err := segments(dir)
	if err != nil {
		return proof, err
	}
	if len(firsts) == 0 || number < firsts[0] {
		return proof, fmt.Errorf("record %d is not there, or no longer", number)
	}
	message, checkpoint, err := newest(dir, firsts, verifier)
	if err != nil {
		return proof, err
	}
	if number >= checkpoint.Size {
		return proof, &NotYet{fmt.Sprintf("no checkpoint covers record %d yet: the newest has %d records", number, checkpoint.Size)}
	}
	text, err := record(dir, number)
	if err != nil {
		return proof, err
	}
	proof.Record = string(text)
	stored, err := newStoredHashes(dir, firsts, verifier)
	if err != nil {
		return proof, err
	}
	if proof.Hashes, err = tlog.ProveRecord(checkpoint.Size, number, stored); err != nil {
		return proof, err
	}
	proof.Checkpoint = string(message)
	return proof, proof.Check(verifier)
}

// Check verifies a proof. Nothing but the public key is needed.
func (p Proof) Check(verifier note.Verifier) error {
	checkpoint, err := OpenCheckpoint([]byte(p.Checkpoint), verifier)
	if err != nil {
		return fmt.Errorf("the proof's checkpoint: %w", err)
	}
	if p.Number < 0 || p.Number >= checkpoint.Size {
		return errors.New("the proof's checkpoint does not cover the record")
	}
	if err := tlog.CheckRecord(p.Hashes, checkpoint.Size, checkpoint.Root, p.Number, tlog.RecordHash([]byte(p.Record))); err != nil {
		return errors.New("the record is not in the log of the checkpoint")
	}
	return nil
}

// newest gives the newest checkpoint. The last segment has none for a moment after it
// began, except that of its start.
func newest(dir string, firsts []int64, verifier note.Verifier) ([]byte, Checkpoint, error) {
	for _, first := range slices.Backward(firsts) {
		message, checkpoint, _, err := lastCheckpoint(segmentPath(dir, first, checkpointsSuffix), verifier)
		if err != nil {
			return nil, checkpoint, err
		}
		if message != nil {
			return message, checkpoint, nil
		}
	}
	return nil, Checkpoint{}, errors.New("the log has no checkpoint")
}

// record gives the line of a record.
func record(dir string, number int64) (text []byte, err error) {
	err = Records(dir, number, func(_ int64, line []byte) bool {
		text = slices.Clone(line)
		return false
	})
	if err == nil && text == nil {
		err = fmt.Errorf("record %d is not there", number)
	}
	return text, err
}

// storedHashes reads the hashes of a tree from the segments. Those of segments that
// are gone are the edge that the first segment starts with: a proof of a record that
// is left needs no others.
type storedHashes struct {
	dir    string
	firsts []int64
	start  edge
}

func newStoredHashes(dir string, firsts []int64, verifier note.Verifier) (*storedHashes, error) {
	start, _, err := readStart(dir, firsts[0], verifier)
	return &storedHashes{dir, firsts, start}, err
}

// ReadHashes implements tlog.HashReader.
func (s *storedHashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for n, index := range indexes {
		h, err := s.read(index)
		if err != nil {
			return nil, err
		}
		hashes[n] = h
	}
	return hashes, nil
}

func (s *storedHashes) read(index int64) (h tlog.Hash, err error) {
	segment := s.firsts[0]
	for _, first := range s.firsts {
		if tlog.StoredHashCount(first) <= index {
			segment = first
		}
	}
	offset := index - tlog.StoredHashCount(segment)
	if offset < 0 {
		h, ok := s.start.node(tlog.SplitStoredHashIndex(index))
		if !ok {
			return h, errors.New("the proof needs a record that was deleted")
		}
		return h, nil
	}
	f, err := openFile(segmentPath(s.dir, segment, hashesSuffix))
	if err != nil {
		return h, err
	}
	defer func() { _ = f.Close() }()
	if n, err := f.ReadAt(h[:], offset*tlog.HashSize); n < len(h) {
		return h, fmt.Errorf("the file of hashes: %w", err)
	}
	return h, nil
}
