package payments

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/open-tollgate/tollgate/backends/internal/cardnumber"
	"github.com/open-tollgate/tollgate/backends/internal/rest"
	"github.com/open-tollgate/tollgate/backends/internal/service"
)

// The bounds of what a client may send, in characters where it is text.
const (
	maxAmount      = 100_000_000_000_000 // minor units; a sum that overflows is an error of the database
	maxDescription = 140                 // as in ISO 20022 remittance information
	maxEndToEndID  = 64
	maxAccountName = 70
	maxMetadata    = 20 // members
	maxMetaKey     = 40
	maxMetaValue   = 500
)

// readBody reads the JSON body into v and also gives its bytes, for the
// fingerprint of the request.
func readBody(r *http.Request, v any) ([]byte, error) {
	var raw bytes.Buffer
	r.Body = io.NopCloser(io.TeeReader(r.Body, &raw))
	if p := service.ReadJSON(r, v); p != nil {
		return nil, p
	}
	return raw.Bytes(), nil
}

// readNothing reads the body of an operation that has nothing to say: an empty
// object, or nothing.
func readNothing(r *http.Request) error {
	if r.ContentLength == 0 {
		return nil
	}
	_, err := readBody(r, &struct{}{})
	return err
}

// faults also knows how to check what payments are made of.
type faults struct{ rest.Faults }

// text checks a field of free text.
func (f *faults) text(pointer, value string, maxLength int) {
	switch {
	case utf8.RuneCountInString(value) > maxLength:
		f.Add(pointer, fmt.Sprintf("must have at most %d characters", maxLength))
	case !utf8.ValidString(value) || strings.ContainsFunc(value, unprintable):
		f.Add(pointer, "must be printable text")
	case cardnumber.In(value):
		f.Add(pointer, "must not hold a card number")
	}
}

// unprintable tells control characters and the marks that turn the direction of
// text: a payee or a purpose must read as it is.
func unprintable(c rune) bool {
	return c == utf8.RuneError || unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c)
}

// pointerName escapes a member's name for a JSON pointer (RFC 6901 section 3).
func pointerName(member string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(member)
}

func (f *faults) metadata(pointer string, metadata map[string]string) {
	if len(metadata) > maxMetadata {
		f.Add(pointer, fmt.Sprintf("must have at most %d members", maxMetadata))
		return
	}
	for key, value := range metadata {
		member := pointer + "/" + pointerName(key)
		if key == "" || utf8.RuneCountInString(key) > maxMetaKey {
			f.Add(pointer, fmt.Sprintf("must have names of 1 to %d characters", maxMetaKey))
			continue
		}
		if cardnumber.In(key) || strings.ContainsFunc(key, unprintable) {
			f.Add(pointer, "must have names of printable text that hold no card number")
			continue
		}
		f.text(member, value, maxMetaValue)
	}
}
