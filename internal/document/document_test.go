package document_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/open-tollgate/tollgate/internal/document"
)

func TestServe(t *testing.T) {
	t.Parallel()
	d := document.New("application/json", []byte(`{"a":1}`))
	ask := func(method, ifNoneMatch string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "/", nil)
		if ifNoneMatch != "" {
			r.Header.Set("If-None-Match", ifNoneMatch)
		}
		w := httptest.NewRecorder()
		d.ServeHTTP(w, r)
		return w
	}
	whole := ask(http.MethodGet, "")
	etag := whole.Header().Get("ETag")
	if whole.Code != 200 || whole.Body.String() != `{"a":1}` || whole.Header().Get("Content-Type") != "application/json" ||
		whole.Header().Get("Cache-Control") != "public, max-age=300" || len(etag) < 10 {
		t.Errorf("%d %v %s", whole.Code, whole.Header(), whole.Body)
	}
	if again := ask(http.MethodGet, etag); again.Code != 304 || again.Body.Len() != 0 || again.Header().Get("ETag") != etag {
		t.Errorf("unchanged: %d %v", again.Code, again.Header())
	}
	if head := ask(http.MethodHead, ""); head.Code != 200 || head.Body.Len() != 0 || head.Header().Get("Content-Length") != "7" {
		t.Errorf("HEAD: %d %v", head.Code, head.Header())
	}
	if other := document.New("application/json", []byte(`{"a":2}`)); func() bool {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("If-None-Match", etag)
		other.ServeHTTP(w, r)
		return w.Code != 200
	}() {
		t.Error("another document has the same validator")
	}
}
