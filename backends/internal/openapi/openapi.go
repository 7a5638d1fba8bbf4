// Package openapi serves the documents that describe the APIs. A backend embeds
// its document and tests itself against it with package openapitest, so that what
// is served is true.
package openapi

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"

	"github.com/open-tollgate/tollgate/backends/internal/rest"
)

// contentType is the media type of YAML (RFC 9512).
const contentType = "application/yaml"

// Endpoint answers with a document. It is public and the same for everybody:
// anybody may keep it for some minutes, and ask then whether it is still good.
func Endpoint(document []byte) rest.Endpoint {
	sum := sha256.Sum256(document)
	tag := `"` + hex.EncodeToString(sum[:12]) + `"`
	return func(w http.ResponseWriter, r *http.Request) error {
		if rest.NotModified(w, r, tag) {
			return nil
		}
		w.Header().Set("Cache-Control", "public, max-age=300")
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(document) // the caller is gone: nobody to tell
		return nil
	}
}

// Public is the guard of a route that anybody may use.
func Public(next http.Handler) http.Handler { return next }
