package openapi

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/open-tollgate/tollgate/backends/internal/rest"
)

func TestEndpoint(t *testing.T) {
	t.Parallel()
	rt := rest.NewRouter(slog.New(slog.DiscardHandler), "")
	rt.Handle("GET /openapi/things.yaml", Public, Endpoint([]byte("openapi: 3.1.0\n")))
	get := func(tag string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, "/openapi/things.yaml", nil)
		r.Header.Set("If-None-Match", tag)
		w := httptest.NewRecorder()
		rt.ServeHTTP(w, r)
		return w
	}
	first := get("")
	if first.Code != 200 || first.Body.String() != "openapi: 3.1.0\n" || first.Header().Get("Content-Type") != contentType ||
		first.Header().Get("Cache-Control") != "public, max-age=300" {
		t.Errorf("%d %v %s", first.Code, first.Header(), first.Body)
	}
	if again := get(first.Header().Get("ETag")); again.Code != 304 || again.Body.Len() != 0 {
		t.Errorf("asked again: %d %s", again.Code, again.Body)
	}
}
