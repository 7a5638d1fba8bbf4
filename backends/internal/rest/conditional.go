package rest

import (
	"net/http"
	"strconv"
	"strings"
)

// VersionTag is the entity tag of a row's version.
func VersionTag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// NotModified sets the headers that let the caller, and only the caller, keep the
// answer, and answers 304 when the caller has this version already.
func NotModified(w http.ResponseWriter, r *http.Request, tag string) bool {
	w.Header().Set("ETag", tag)
	w.Header().Set("Cache-Control", "private, no-cache")
	if !matches(r.Header.Values("If-None-Match"), tag) {
		return false
	}
	w.WriteHeader(http.StatusNotModified)
	return true
}

// matches compares weakly, as If-None-Match wants (RFC 9110 section 13.1.2): what
// compresses on the way may have added W/. Our tags hold no comma.
func matches(fields []string, tag string) bool {
	for candidate := range strings.SplitSeq(strings.Join(fields, ","), ",") {
		candidate = strings.TrimSpace(candidate)
		if candidate == "*" || strings.TrimPrefix(candidate, "W/") == tag {
			return true
		}
	}
	return false
}
