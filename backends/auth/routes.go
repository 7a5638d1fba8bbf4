package auth

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"

	"github.com/open-tollgate/tollgate/backends/auth/internal/page"
	"github.com/open-tollgate/tollgate/internal/problem"
)

// routes names every path that there is. The library registers more of them
// (dynamic registration among others), which are not reached from here.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for _, path := range []string{tokenPath, parPath, introspectPath, revokePath} {
		mux.Handle(path, s.machine(path))
	}
	mux.Handle(authorizePath, methods(s.openRequest, http.MethodGet)) // not HEAD: it binds the request to its browser
	mux.Handle(authorizePath+"/{id}", readable(s.browser))
	mux.Handle(authorizePath+"/{id}/{step}", methods(s.browser, http.MethodPost))
	mux.Handle(userinfoPath, methods(s.userinfo, http.MethodGet, http.MethodHead, http.MethodPost)) // OIDC Core section 5.3
	mux.Handle(jwksPath, readable(s.jwks))
	mux.Handle(openIDPath, readable(s.serveMetadata))
	mux.Handle(metadataPath, readable(s.serveMetadata))
	mux.Handle(assetsPath, readable(page.Assets(assetsPath).ServeHTTP))
	mux.Handle(metricsPath, readable(s.metrics.handler().ServeHTTP))
	mux.HandleFunc("GET "+grantsPath, s.internal(scopeGrants, known(s.listGrants)))
	mux.HandleFunc("DELETE "+grantsPath, s.internal(scopeGrants, known(s.revokeGrants)))
	mux.HandleFunc("DELETE "+grantsPath+"/{grant}", s.internal(scopeGrants, known(s.revokeGrant)))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		problem.New(http.StatusNotFound, "not_found", "There is nothing at this path.").Write(w)
	})
	return mux
}

// readable lets GET and HEAD through (RFC 9110 section 9.3.2). Both are handled
// alike, and net/http keeps back the body of what answers HEAD.
func readable(next http.HandlerFunc) http.Handler {
	return methods(next, http.MethodGet, http.MethodHead)
}

// methods lets these methods through.
func methods(next http.HandlerFunc, allowed ...string) http.Handler {
	list := strings.Join(allowed, ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !slices.Contains(allowed, r.Method) {
			problem.New(http.StatusMethodNotAllowed, "method_not_allowed", "This path takes "+list+".").
				WithHeader("Allow", list).Write(w)
			return
		}
		next(w, r)
	})
}

// openRequest starts at a request_uri. Of the parameters only the two of RFC 9126
// section 4 go on: everything else was pushed, and nothing can be added here.
func (s *Server) openRequest(w http.ResponseWriter, r *http.Request) {
	asked, err := url.ParseQuery(r.URL.RawQuery)
	if err == nil {
		err = checkParameters(asked)
	}
	if err != nil {
		requestPage(http.StatusBadRequest, "A parameter of the address is there twice, or malformed.").Write(w)
		return
	}
	kept := url.Values{}
	for _, name := range []string{"client_id", "request_uri"} {
		if asked.Has(name) {
			kept.Set(name, asked.Get(name))
		}
	}
	clean := r.Clone(r.Context())
	clean.URL.RawQuery = kept.Encode()
	s.serveBrowser(w, clean, &call{path: authorizePath, clientID: kept.Get("client_id")})
}

// browser goes on with a request that was opened.
func (s *Server) browser(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		c := &call{}
		if err := readForm(w, r, c); err != nil {
			requestPage(http.StatusBadRequest, "The form could not be read.").Write(w)
			return
		}
	}
	s.serveBrowser(w, r, &call{path: authorizePath})
}

func (s *Server) serveBrowser(w http.ResponseWriter, r *http.Request, c *call) {
	a := newAnswer()
	page.SecurityHeader(a.header)
	s.library.ServeHTTP(a, withCall(r, c))
	a.copyTo(w)
}

// renderError is the page for what ends a request without a way back to the client.
func (s *Server) renderError(w http.ResponseWriter, _ *http.Request, err error) error {
	if a, ok := w.(*answer); ok {
		a.reset() // the page before it may be written already
	}
	errorPage(err).Write(w)
	return nil
}

// errorPage finds the words for a browser.
func errorPage(err error) page.Problem {
	e := explain(err)
	switch {
	case e.status == http.StatusServiceUnavailable:
		return unavailablePage
	case e.status >= http.StatusInternalServerError:
		return page.Problem{Status: e.status, Title: "Something went wrong", Message: "The request could not be handled here."}
	case e.Code == goidc.ErrorCodeInvalidClient:
		return requestPage(http.StatusBadRequest, "The shop or app that sent you here is not registered.")
	}
	return requestPage(http.StatusBadRequest, "The request has expired, was answered already, or never existed. "+
		"If you pressed a button twice, the first press counts: look in the shop or app that you came from.")
}

func requestPage(status int, message string) page.Problem {
	return page.Problem{Status: status, Title: "This request cannot be used", Message: message}
}

// unavailablePage is for when the database or another service does not answer.
var unavailablePage = page.Problem{
	Status: http.StatusServiceUnavailable, Title: "Not available right now", RetryAfter: 5 * time.Second,
	Message: "Your request cannot be handled for the moment. Reload this page in a few seconds to go on where you were.",
}

// jwks publishes the keys; verifiers may keep them for a while.
func (s *Server) jwks(w http.ResponseWriter, r *http.Request) {
	a := newAnswer()
	s.library.ServeHTTP(a, withCall(r, &call{path: jwksPath}))
	if a.status == http.StatusOK {
		a.header.Del("Pragma")
		a.header.Set("Cache-Control", cacheFor(jwksMaxAge))
	}
	a.copyTo(w)
}
