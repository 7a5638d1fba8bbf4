// Package document serves what the edge itself publishes: small documents in memory
// that clients and caches ask for again and again.
package document

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"time"
)

// cacheControl lets caches keep a document for as long as a change of the
// configuration may take to be seen.
const cacheControl = "public, max-age=300"

// Document is a body with its validator. It never changes.
type Document struct {
	contentType, etag string
	body              []byte
}

// New makes a document.
func New(contentType string, body []byte) *Document {
	sum := sha256.Sum256(body)
	return &Document{contentType, `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`, body}
}

// Body gives the text. Read it only.
func (d *Document) Body() []byte { return d.body }

// ServeHTTP answers GET and HEAD, with 304 when the caller has it already.
func (d *Document) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", d.contentType)
	h.Set("Cache-Control", cacheControl)
	h.Set("ETag", d.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(d.body))
}
