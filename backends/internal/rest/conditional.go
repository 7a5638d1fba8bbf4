package rest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
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
	return knows(w, r, tag)
}

// knows answers 304 when the caller has what bears this tag.
func knows(w http.ResponseWriter, r *http.Request, tag string) bool {
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
	if NotModified(w, r, contentTag(body)) {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n')) // the caller is gone: nobody to tell
}

// contentTag is the entity tag of what has no version.
func contentTag(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + hex.EncodeToString(sum[:12]) + `"`
}

// Constant answers everybody with the same body. Anybody may keep it for so long,
// caches on the way too, and ask then whether it is still good.
func Constant(contentType string, maxAge time.Duration, body []byte) Endpoint {
	tag, keep := contentTag(body), "public, max-age="+strconv.Itoa(int(maxAge/time.Second))
	return func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("ETag", tag)
		w.Header().Set("Cache-Control", keep)
		if knows(w, r, tag) {
			return nil
		}
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(body) // the caller is gone: nobody to tell
		return nil
	}
}
