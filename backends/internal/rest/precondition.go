package rest

import (
	"net/http"

	"github.com/open-tollgate/tollgate/internal/problem"
)

// CheckIfMatch refuses a change by somebody who has not seen this version
// (RFC 6585 section 3).
func CheckIfMatch(r *http.Request, version int64) error {
	if r.Header.Get("If-Match") == "" {
		return problem.New(http.StatusPreconditionRequired, "if_match_required",
			"Send If-Match with the ETag of the version that you want to change.").
			WithErrors(problem.FieldError{Pointer: "If-Match", Detail: "is missing"})
	}
	if !IfMatch(r, VersionTag(version)) {
		return Stale()
	}
	return nil
}

// Stale says that another change came first.
func Stale() *problem.Problem {
	return problem.New(http.StatusPreconditionFailed, "version_mismatch",
		"It has changed since. Read it again and repeat the change.")
}
