package rest

import (
	"net/http"

	"github.com/open-tollgate/tollgate/internal/problem"
)

// Faults collects what is wrong with a body, to tell all of it at once.
type Faults []problem.FieldError

// Add notes what is wrong at the pointer; nothing is when detail is empty.
func (f *Faults) Add(pointer, detail string) {
	if detail != "" {
		*f = append(*f, problem.FieldError{Pointer: pointer, Detail: detail})
	}
}

// Err is the refusal, or nil when nothing is wrong.
func (f Faults) Err() error {
	if len(f) == 0 {
		return nil
	}
	return problem.New(http.StatusUnprocessableEntity, "validation_failed", "The request holds values that cannot be taken.").
		WithErrors(f...)
}
