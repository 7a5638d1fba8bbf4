package auth

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"
)

const metadataMaxAge = time.Hour

// readMetadata takes the library's document and puts right what the guards
// changed. One document is served at both paths, so that what a client reads does
// not depend on which of the two it asks for.
func (s *Server) readMetadata(ctx context.Context) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.issuer+openIDPath, nil)
	if err != nil {
		return nil, err
	}
	a := newAnswer()
	s.library.ServeHTTP(a, r)
	var document map[string]any
	if err := json.Unmarshal(a.body.Bytes(), &document); err != nil || a.status != http.StatusOK {
		return nil, fmt.Errorf("metadata: status %d, %w", a.status, err)
	}
	delete(document, "registration_endpoint") // closed, and not routed
	document["response_modes_supported"] = []string{"query"}
	document["prompt_values_supported"] = []string{"none", "login", "consent"}
	document["claims_supported"] = []string{"sub", "auth_time", "acr"}
	if supported, ok := document["scopes_supported"].([]any); ok {
		document["scopes_supported"] = slices.DeleteFunc(supported, func(name any) bool {
			text, _ := name.(string)
			return forServices([]string{text}) // no client of the platform's can have it
		})
	}
	return json.Marshal(document)
}

func (s *Server) serveMetadata(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", cacheFor(metadataMaxAge))
	_, _ = w.Write(s.metadata) // the caller is gone: nobody to tell
}

func cacheFor(d time.Duration) string { return fmt.Sprintf("public, max-age=%d", int(d.Seconds())) }
