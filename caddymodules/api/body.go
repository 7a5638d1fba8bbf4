package api

import (
	"io"
	"net/http"
)

// callersBody marks what goes wrong while a caller's body is read. Whoever forwards it
// meets the error of a connection, and would put it down to the service.
type callersBody struct{ io.ReadCloser }

// markBody has to come before anything reads the body.
func markBody(r *http.Request) {
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = callersBody{r.Body}
	}
}

// Read reads on, and marks an error that is no end. A body that is closed was closed on
// this side, by an attempt to forward it that has failed.
func (b callersBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF && err != http.ErrBodyReadAfterClose { // bare, as io.Reader wants it
		err = bodyError{err}
	}
	return n, err
}

// bodyError says that the caller did not send the body that it began.
type bodyError struct{ cause error }

func (e bodyError) Error() string { return "request body: " + e.cause.Error() }

func (e bodyError) Unwrap() error { return e.cause }
