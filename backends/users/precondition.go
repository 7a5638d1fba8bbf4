package users

import (
	"net/http"

	"github.com/open-tollgate/tollgate/backends/internal/rest"
	"github.com/open-tollgate/tollgate/internal/problem"
)

// checkIfMatch refuses a change by somebody who has not seen this version
// (RFC 6585 section 3).
func checkIfMatch(r *http.Request, version int64) error {
	if r.Header.Get("If-Match") == "" {
		return problem.New(http.StatusPreconditionRequired, "if_match_required",
			"Send If-Match with the ETag of the version that you want to change.").
			WithErrors(problem.FieldError{Pointer: "If-Match", Detail: "is missing"})
	}
	if !rest.IfMatch(r, rest.VersionTag(version)) {
		return stale()
	}
	return nil
}

// stale says that another change came first.
func stale() *problem.Problem {
	return problem.New(http.StatusPreconditionFailed, "version_mismatch",
		"The profile has changed since. Read it again and repeat the change.")
}
