package service

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode"

	"github.com/open-tollgate/tollgate/internal/problem"
)

// WriteJSON answers with v as JSON. v is one of our own types: what cannot be
// marshalled is a programming error and ends as a 500 by the panic handler.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the caller is gone: nobody to tell
}

// ReadJSON reads the request body into v: one JSON object, no member that v does
// not have, nothing behind it. Beside application/json the types in accept are taken.
func ReadJSON(r *http.Request, v any, accept ...string) *problem.Problem {
	if p := checkContentType(r, accept); p != nil {
		return p
	}
	body, err := io.ReadAll(r.Body)
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return problem.New(http.StatusRequestEntityTooLarge, "body_too_large", "The body is larger than this API takes.")
	}
	if err != nil {
		return problem.New(http.StatusBadRequest, "body_unreadable", "The body ended early.").WithCause(err)
	}
	return DecodeJSON(body, v)
}

// DecodeJSON is ReadJSON for bytes that are already here.
func DecodeJSON(body []byte, v any) *problem.Problem {
	if err := noDuplicates(body); err != nil {
		return malformed(err)
	}
	// JSON's null would leave v as it is, and be taken for an empty object.
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); trimmed[0] != '{' {
		return malformed(errors.New("not an object"))
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return malformed(err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return problem.New(http.StatusBadRequest, "malformed_json", "There is something behind the JSON object.")
	}
	return nil
}

func checkContentType(r *http.Request, accept []string) *problem.Problem {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err == nil && mediaType == "application/json" {
		return nil
	}
	for _, a := range accept {
		if err == nil && mediaType == a {
			return nil
		}
	}
	return problem.New(http.StatusUnsupportedMediaType, "unsupported_media_type",
		"The body must be "+strings.Join(append([]string{"application/json"}, accept...), " or ")+".")
}

// malformed says what is wrong and where, without repeating what was sent.
func malformed(err error) *problem.Problem {
	p := problem.New(http.StatusBadRequest, "malformed_json", "The body is not the JSON object that this operation takes.").WithCause(err)
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrongType):
		return p.WithErrors(problem.FieldError{
			Pointer: "/" + strings.ReplaceAll(wrongType.Field, ".", "/"),
			Detail:  "must be " + article(wrongType.Type.Kind().String()),
		})
	case strings.HasPrefix(err.Error(), "json: unknown field "):
		return p.WithErrors(problem.FieldError{Pointer: "", Detail: "has a member that this operation does not know"})
	case errors.Is(err, errDuplicate):
		return p.WithErrors(problem.FieldError{Pointer: "", Detail: "has a member twice"})
	}
	return p
}

// article names a Go kind in the words of JSON.
func article(kind string) string {
	switch {
	case kind == "string":
		return "a string"
	case kind == "bool":
		return "true or false"
	case kind == "slice" || kind == "array":
		return "an array"
	case kind == "struct" || kind == "map":
		return "an object"
	case strings.HasPrefix(kind, "int"), strings.HasPrefix(kind, "uint"):
		return "a whole number"
	}
	return "of another type"
}

var errDuplicate = errors.New("duplicate member")

// maxDepth bounds the nesting of a request body.
const maxDepth = 32

// noDuplicates refuses an object with a member twice, at any depth: the last one
// would win here, and the first one may be what somebody else has judged.
// encoding/json also matches names without regard to case; so does this.
func noDuplicates(body []byte) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	return walk(dec, 0)
}

func walk(dec *json.Decoder, depth int) error {
	if depth > maxDepth {
		return errors.New("nested too deep")
	}
	token, err := dec.Token()
	if err != nil {
		return err
	}
	switch token {
	case json.Delim('{'):
		seen := make(map[string]bool)
		for dec.More() {
			name, err := dec.Token()
			if err != nil {
				return err
			}
			key := folded(name.(string)) // the decoder lets nothing else stand here
			if seen[key] {
				return errDuplicate
			}
			seen[key] = true
			if err := walk(dec, depth+1); err != nil {
				return err
			}
		}
	case json.Delim('['):
		for dec.More() {
			if err := walk(dec, depth+1); err != nil {
				return err
			}
		}
	default:
		return nil
	}
	_, err = dec.Token() // the closing delimiter
	return err
}

// folded is the same for all names that encoding/json takes for one. Those that only
// lower case tells are not all: it also takes U+017F for an s.
func folded(name string) string {
	return strings.Map(func(c rune) rune {
		for {
			next := unicode.SimpleFold(c)
			if next <= c {
				return next // the smallest of those that are one letter
			}
			c = next
		}
	}, name)
}
