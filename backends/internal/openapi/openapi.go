// Package openapi serves the documents that describe the APIs. A backend embeds
// its document and tests itself against it with package openapitest, so that what
// is served is true.
package openapi

import (
	"net/http"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/rest"
)

// contentType is the media type of YAML (RFC 9512).
const contentType = "application/yaml"

// Endpoint answers with a document, which anybody may keep for some minutes.
func Endpoint(document []byte) rest.Endpoint {
	return rest.Constant(contentType, 5*time.Minute, document)
}

// Public is the guard of a route that anybody may use.
func Public(next http.Handler) http.Handler { return next }
