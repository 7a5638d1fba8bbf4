package auditlog

import (
	"errors"
	"io"
	"sync/atomic"
	"time"
)

// Copy gets what is in the log, to keep it somewhere else: a checkpoint that this
// machine cannot take back is what shows that a log was cut. A copy that cannot keep
// up loses whole batches, and counts their octets; the log itself is not held up.
type Copy interface {
	// Send hands over a batch of lines and the checkpoint behind it. It does not wait,
	// and keeps neither.
	Send(records, checkpoint []byte)
	// Lost counts the batches that could not be sent.
	Lost() uint64
	// Close sends what waits, for so long as is bearable where a process is to end.
	Close() error
}

const (
	copyQueue    = 16              // batches that may wait
	closeTimeout = 5 * time.Second // for what waits at the end
)

// sender is a Copy that a goroutine writes.
type sender struct {
	batches chan []byte
	done    chan struct{}
	lost    atomic.Uint64
	write   func(lines []byte) error
	err     error // of the end; there once done is closed
}

func newSender(write func([]byte) error, end func() error) *sender {
	s := &sender{batches: make(chan []byte, copyQueue), done: make(chan struct{}), write: write}
	go func() {
		defer close(s.done)
		for lines := range s.batches {
			if err := s.write(lines); err != nil {
				s.lost.Add(1)
			}
		}
		s.err = end()
	}()
	return s
}

// Send copies the batch, and puts the checkpoint behind it as a line of JSON.
func (s *sender) Send(records, checkpoint []byte) {
	lines := make([]byte, 0, len(records)+len(checkpoint)+64)
	lines = append(append(lines, records...), checkpointLine(checkpoint)...)
	select {
	case s.batches <- lines:
	default:
		s.lost.Add(1)
	}
}

func (s *sender) Lost() uint64 { return s.lost.Load() }

var errNotTaken = errors.New("a copy of the audit log was not taken in time, and has not got all of it")

// Close ends. A reader that has stopped to read would hold the process up for ever: what it
// has not taken in time is lost to it.
func (s *sender) Close() error {
	close(s.batches)
	select {
	case <-s.done:
		return s.err
	case <-time.After(closeTimeout):
	}
	for range s.batches {
		s.lost.Add(1)
	}
	return errNotTaken
}

// NewWriterCopy writes lines to a stream, such as standard output.
func NewWriterCopy(w io.Writer) Copy {
	return newSender(func(lines []byte) error {
		_, err := w.Write(lines)
		return err
	}, func() error { return nil })
}
