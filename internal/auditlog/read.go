package auditlog

import (
	"bufio"
	"errors"
	"io"
)

// Records calls each for every whole record of the folder, from a number on, with its
// line, until each says false. What it gives holds until the next call. It verifies nothing.
func Records(dir string, from int64, each func(number int64, text []byte) bool) error {
	firsts, err := segments(dir)
	if err != nil {
		return err
	}
	for n, first := range firsts {
		if n+1 < len(firsts) && firsts[n+1] <= from {
			continue
		}
		more, err := readRecords(dir, first, from, each)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

func readRecords(dir string, first, from int64, each func(int64, []byte) bool) (more bool, err error) {
	f, err := openFile(segmentPath(dir, first, recordsSuffix))
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }()
	r := bufio.NewReaderSize(f, 1<<18)
	for number := first; ; number++ {
		text, err := readLine(r)
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if number >= from && !each(number, text) {
			return false, nil
		}
	}
}
