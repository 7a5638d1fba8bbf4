package users

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/open-tollgate/tollgate/internal/problem"
)

func etag(version int64) string { return fmt.Sprintf(`"%d"`, version) }

// setValidators lets the caller keep the answer, and only the caller, who has to
// ask each time whether it is still good.
func setValidators(h http.Header, version int64) {
	h.Set("ETag", etag(version))
	h.Set("Cache-Control", "private, no-cache")
}

// notModified says whether the caller has this version. If-None-Match compares
// weakly (RFC 9110 section 13.1.2): a proxy that compresses may have added W/.
func notModified(r *http.Request, version int64) bool {
	for tag := range tags(r, "If-None-Match") {
		if tag == "*" || strings.TrimPrefix(tag, "W/") == etag(version) {
			return true
		}
	}
	return false
}

// checkIfMatch refuses a change by somebody who has not seen this version
// (RFC 9110 section 13.1.1, RFC 6585 section 3).
func checkIfMatch(r *http.Request, version int64) error {
	if r.Header.Get("If-Match") == "" {
		return problem.New(http.StatusPreconditionRequired, "if_match_required",
			"Send If-Match with the ETag of the version that you want to change.").
			WithErrors(problem.FieldError{Pointer: "If-Match", Detail: "is missing"})
	}
	for tag := range tags(r, "If-Match") {
		if tag == "*" || tag == etag(version) {
			return nil
		}
	}
	return stale()
}

// stale says that another change came first.
func stale() *problem.Problem {
	return problem.New(http.StatusPreconditionFailed, "version_mismatch",
		"The profile has changed since. Read it again and repeat the change.")
}

// tags yields the entity tags of a header field. Ours hold no comma.
func tags(r *http.Request, name string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for tag := range strings.SplitSeq(strings.Join(r.Header.Values(name), ","), ",") {
			if !yield(strings.TrimSpace(tag)) {
				return
			}
		}
	}
}
