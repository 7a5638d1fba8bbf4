package rest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// VersionTag is the entity tag of a row's version.
func VersionTag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// SetValidators sets the headers that let the caller keep the answer, and only
// the caller, who has to ask each time whether it is still good.
func SetValidators(h http.Header, tag string) {
	h.Set("ETag", tag)
	h.Set("Cache-Control", "private, no-cache")
}

// NotModified sets the validators, and answers 304 when the caller has this
// version already. If-None-Match compares weakly (RFC 9110 section 13.1.2): what
// compresses on the way may have added W/.
func NotModified(w http.ResponseWriter, r *http.Request, tag string) bool {
	SetValidators(w.Header(), tag)
	weakly := func(candidate string) string { return strings.TrimPrefix(candidate, "W/") }
	if !matches(r, "If-None-Match", tag, weakly) {
		return false
	}
	w.WriteHeader(http.StatusNotModified)
	return true
}

// IfMatch tells whether the caller's If-Match names this version. It compares
// strongly (RFC 9110 section 13.1.1): no tag with W/ does.
func IfMatch(r *http.Request, tag string) bool {
	return matches(r, "If-Match", tag, func(candidate string) string { return candidate })
}

// matches looks for the tag, or *, in a header field. Our tags hold no comma.
func matches(r *http.Request, field, tag string, compared func(string) string) bool {
	for candidate := range strings.SplitSeq(strings.Join(r.Header.Values(field), ","), ",") {
		candidate = strings.TrimSpace(candidate)
		if candidate == "*" || compared(candidate) == tag {
			return true
		}
	}
	return false
}

// WriteTagged answers a GET with v as JSON, tagged by its content: for what has no
// version of its own, such as a list. v is one of our own types, as for
// service.WriteJSON.
func WriteTagged(w http.ResponseWriter, r *http.Request, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(body)
	if NotModified(w, r, `"`+hex.EncodeToString(sum[:12])+`"`) {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n')) // the caller is gone: nobody to tell
}
