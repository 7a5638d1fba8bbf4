package discovery

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/open-tollgate/tollgate/internal/outbound"
)

func TestWellKnown(t *testing.T) {
	t.Parallel()
	for issuer, want := range map[string][]string{
		"https://a.test":           {"https://a.test/.well-known/oauth-authorization-server", "https://a.test/.well-known/openid-configuration"},
		"https://a.test/":          {"https://a.test/.well-known/oauth-authorization-server", "https://a.test/.well-known/openid-configuration"},
		"https://a.test/realms/b":  {"https://a.test/.well-known/oauth-authorization-server/realms/b", "https://a.test/realms/b/.well-known/openid-configuration"},
		"https://a.test/realms/b/": {"https://a.test/.well-known/oauth-authorization-server/realms/b", "https://a.test/realms/b/.well-known/openid-configuration"},
	} {
		if got := wellKnown(issuer); !slices.Equal(got, want) {
			t.Errorf("%s: %q", issuer, got)
		}
	}
}

// TestFind has an issuer of which only some of the places answer.
func TestFind(t *testing.T) {
	t.Parallel()
	const found = "https://a.test/introspect"
	for name, test := range map[string]struct {
		oauth, openid string // %s is the issuer; empty: 404
		want          string // empty: an error
	}{
		"RFC 8414":                    {`{"issuer":"%s","e":"` + found + `"}`, "", found},
		"OpenID":                      {"", `{"issuer":"%s","e":"` + found + `"}`, found},
		"only OpenID has the member":  {`{"issuer":"%s"}`, `{"issuer":"%s","e":"` + found + `"}`, found},
		"neither has it":              {`{"issuer":"%s"}`, `{"issuer":"%s"}`, ""},
		"nothing there":               {"", "", ""},
		"of another issuer":           {`{"issuer":"%s/","e":"` + found + `"}`, "", ""},
		"in the clear":                {`{"issuer":"%s","e":"http://a.test/introspect"}`, "", ""},
		"no text":                     {`{"issuer":"%s","e":[]}`, "", ""},
		"twice":                       {`{"issuer":"%s","e":"https://x.test","e":"` + found + `"}`, "", ""},
		"no JSON":                     {`<html>%s`, "", ""},
		"the first one that is there": {`{"issuer":"%s","e":"` + found + `"}`, `{"issuer":"%s","e":"https://x.test"}`, found},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var server *httptest.Server
			mux := http.NewServeMux()
			answer := func(path, document string) {
				if document == "" {
					return
				}
				mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
					_, _ = io.WriteString(w, fmt.Sprintf(document, server.URL))
				})
			}
			answer("/.well-known/oauth-authorization-server", test.oauth)
			answer("/.well-known/openid-configuration", test.openid)
			server = httptest.NewServer(mux)
			defer server.Close()
			got, err := Find(t.Context(), outbound.Restrict(nil, 5*time.Second), server.URL, "e")
			if got != test.want && err == nil || (err == nil) != (test.want != "") {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestAPlaceThatHangs: the time there is belongs to both places, and part of it is left
// for what the endpoint is wanted for.
func TestAPlaceThatHangs(t *testing.T) {
	t.Parallel()
	const issuer, found = "https://a.test", "https://a.test/introspect"
	synctest.Test(t, func(t *testing.T) {
		transport := roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.URL.Path == "/.well-known/oauth-authorization-server" {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			return &http.Response{
				StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
				Body: io.NopCloser(strings.NewReader(`{"issuer":"` + issuer + `","e":"` + found + `"}`)),
			}, nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		got, err := Find(ctx, outbound.Restrict(&http.Client{Transport: transport}, 3*time.Second), issuer, "e")
		if got != found || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		if took := time.Since(start); took != 1500*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
}

// FuzzParse: whatever a document says, what comes of it is a URL that can be asked.
func FuzzParse(f *testing.F) {
	const issuer = "https://a.test"
	f.Add([]byte(`{"issuer":"https://a.test","e":"https://a.test/introspect"}`))
	f.Add([]byte(`{"issuer":"https://a.test","e":"http://user:pw@127.0.0.1/#x"}`))
	f.Add([]byte(`{"issuer":"https://a.test/","e":"https://a.test"}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		found, err := parse(document, issuer, "e")
		if err == nil && outbound.CheckURL(found) != nil {
			t.Errorf("%q", found)
		}
	})
}
