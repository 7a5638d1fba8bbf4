package auditlog

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Checkpoint says what the log was at a moment. Signed, it commits the log to each
// record before it: nothing of them can change without another root.
type Checkpoint struct {
	// Origin names the log: the name of its key.
	Origin string
	// Size is how many records the tree has, from the log's very first on.
	Size int64
	// Root is the hash of the tree (RFC 6962 section 2.1).
	Root tlog.Hash
	// Time is the signer's clock.
	Time time.Time
	// Number is its place among the log's checkpoints, of which the first has 1. The note that
	// a segment starts with repeats that of the one before. It is unnumbered in what an edge has
	// signed that knew no numbers; what follows there begins with 0.
	Number int64
}

// unnumbered is the Number of a checkpoint that has none.
const unnumbered = -1

// follows says whether no checkpoint is missing between that of a number and this one. Whoever
// takes one away cannot take the numbers from the others: they are signed.
func (c Checkpoint) follows(number int64) bool {
	return c.Number == number+1 || c.Number == unnumbered && number == unnumbered
}

// text is the note: origin, size and root each on a line, as other transparency logs
// write them (c2sp.org/tlog-checkpoint), then the time and the number as extension lines.
func (c Checkpoint) text() string {
	text := fmt.Sprintf("%s\n%d\n%s\ntime %s\n", c.Origin, c.Size, c.Root, c.Time.UTC().Format(time.RFC3339Nano))
	if c.Number != unnumbered {
		text += fmt.Sprintf("number %d\n", c.Number)
	}
	return text
}

// sign gives the signed note.
func (c Checkpoint) sign(signer note.Signer) ([]byte, error) {
	return note.Sign(&note.Note{Text: c.text()}, signer)
}

var errCheckpoint = errors.New("malformed checkpoint")

// OpenCheckpoint verifies a signed note and reads it.
func OpenCheckpoint(message []byte, verifier note.Verifier) (Checkpoint, error) {
	opened, err := note.Open(message, note.VerifierList(verifier))
	if err != nil {
		return Checkpoint{}, err
	}
	c, err := parseCheckpoint(opened.Text)
	if err != nil {
		return c, err
	}
	if c.Origin != verifier.Name() {
		return c, fmt.Errorf("%w: of %q, signed by %q", errCheckpoint, c.Origin, verifier.Name())
	}
	if !isPlain(message, opened) {
		return c, errCheckpoint
	}
	return c, nil
}

// isPlain says whether the message is just what sign makes: one signature, and of all
// spellings of its base64 the usual one, so that no byte can change unseen.
func isPlain(message []byte, opened *note.Note) bool {
	if len(opened.Sigs) != 1 || len(opened.UnverifiedSigs) != 0 {
		return false
	}
	signature := opened.Sigs[0]
	octets, err := base64.StdEncoding.Strict().DecodeString(signature.Base64)
	if err != nil || base64.StdEncoding.EncodeToString(octets) != signature.Base64 {
		return false
	}
	return string(message) == opened.Text+"\n\u2014 "+signature.Name+" "+signature.Base64+"\n"
}

func parseCheckpoint(text string) (c Checkpoint, err error) {
	lines := strings.Split(text, "\n")
	if n := len(lines); n < 5 || n > 6 || lines[n-1] != "" {
		return c, errCheckpoint
	}
	c.Origin = lines[0]
	if c.Size, err = strconv.ParseInt(lines[1], 10, 64); err != nil || c.Size < 0 || strconv.FormatInt(c.Size, 10) != lines[1] {
		return c, errCheckpoint
	}
	if c.Root, err = tlog.ParseHash(lines[2]); err != nil {
		return c, errCheckpoint
	}
	at, isTime := strings.CutPrefix(lines[3], "time ")
	if c.Time, err = time.Parse(time.RFC3339Nano, at); err != nil || !isTime {
		return c, errCheckpoint
	}
	c.Number = unnumbered
	if len(lines) == 6 {
		number, isNumber := strings.CutPrefix(lines[4], "number ")
		if c.Number, err = strconv.ParseInt(number, 10, 64); err != nil || !isNumber || c.Number < 0 {
			return c, errCheckpoint
		}
	}
	if c.text() != text { // one spelling only: what is signed is what is read
		return c, errCheckpoint
	}
	return c, nil
}

// maxNoteLines is how many lines a signed checkpoint has at most: five of text, an empty one,
// one signature.
const maxNoteLines = 7

// readNote reads the next signed checkpoint of a file. At its end it gives io.EOF, and
// io.ErrUnexpectedEOF for what a crash left of one.
func readNote(r *bufio.Reader) ([]byte, error) {
	var message []byte
	signature := false // is next, since a line was empty
	for range maxNoteLines {
		line, err := r.ReadSlice('\n')
		message = append(message, line...)
		if err == io.EOF && len(message) > 0 {
			return message, io.ErrUnexpectedEOF
		}
		if err != nil || signature {
			return message, err
		}
		signature = len(line) == 1
	}
	return message, nil
}
