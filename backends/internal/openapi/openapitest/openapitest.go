// Package openapitest holds a backend to its OpenAPI document: each request and
// each answer of its tests is validated, and the routes and scopes are compared.
package openapitest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// formats are checked beside those that the library checks of itself.
var formats = []openapi3.SchemaValidationOption{openapi3.WithStringFormatValidators(map[string]openapi3.StringFormatValidator{
	"uuid":  openapi3.NewRegexpFormatValidator(openapi3.FormatOfStringForUUIDOfRFC9562),
	"email": openapi3.NewRegexpFormatValidator(openapi3.FormatOfStringForEmail),
})}

// Document is an OpenAPI document that is valid in itself, its examples included.
type Document struct {
	spec   *openapi3.T
	router routers.Router
}

// loaded are the documents that were read, by their text: to read one takes longer than
// most tests, which share it.
var loaded sync.Map

// Load reads a document, or ends the test.
func Load(t testing.TB, text []byte) *Document {
	t.Helper()
	read, _ := loaded.LoadOrStore(string(text), sync.OnceValues(func() (*Document, error) { return load(text) }))
	d, err := read.(func() (*Document, error))()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func load(text []byte) (*Document, error) {
	spec, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	if !spec.IsOpenAPI31OrLater() {
		return nil, fmt.Errorf("openapi: the document is of version %s, want 3.1", spec.OpenAPI)
	}
	if err := spec.Validate(context.Background(), openapi3.EnableExamplesValidation()); err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	router, err := gorillamux.NewRouter(spec)
	if err != nil {
		return nil, fmt.Errorf("openapi: %w", err)
	}
	return &Document{spec: spec, router: router}, nil
}

// Handler is the backend under the document's eyes. It fails the test when an
// answer is not as the document says, when a request is taken that the document
// refuses, and when something is answered that the document does not know. What
// services call among themselves, and metrics, are not in documents.
func (d *Document) Handler(t testing.TB, backend http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/api/") || r.Method == http.MethodHead {
			backend.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		// Judged first: the backend may change the request, and reads its body.
		judged, refused := d.judge(withBody(r, body))
		rec := httptest.NewRecorder()
		backend.ServeHTTP(rec, withBody(r, body))
		if err := d.check(judged, refused, rec); err != nil {
			t.Errorf("%s %s: %d\n%s\n%v", r.Method, r.URL.Path, rec.Code, rec.Body, err)
		}
		for name, values := range rec.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
	})
}

func withBody(r *http.Request, body []byte) *http.Request {
	c := r.Clone(r.Context())
	c.Body = io.NopCloser(bytes.NewReader(body))
	c.Pattern = ""
	return c
}

// judge gives what the document knows of a request, nil where there is no such
// operation, and what is wrong with it.
func (d *Document) judge(r *http.Request) (input *openapi3filter.RequestValidationInput, refused error) {
	route, params, err := d.router.FindRoute(r)
	if err != nil {
		return nil, nil
	}
	input = &openapi3filter.RequestValidationInput{
		Request: r, PathParams: params, Route: route,
		Options: &openapi3filter.Options{
			AuthenticationFunc:                openapi3filter.NoopAuthenticationFunc, // compared by RequireScopes
			IncludeResponseStatus:             true,
			RejectWhenRequestBodyNotSpecified: true,
			MultiError:                        true,
			SkipSettingDefaults:               true,
			SchemaValidationOptions:           formats,
		},
	}
	return input, openapi3filter.ValidateRequest(r.Context(), input)
}

func (d *Document) check(input *openapi3filter.RequestValidationInput, refused error, rec *httptest.ResponseRecorder) error {
	if input == nil {
		if rec.Code == http.StatusNotFound || rec.Code == http.StatusMethodNotAllowed {
			return nil
		}
		return errors.New("the document does not know this operation")
	}
	if refused != nil && rec.Code < http.StatusBadRequest {
		return fmt.Errorf("taken, although the document refuses it: %w", refused)
	}
	return openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: rec.Code, Header: rec.Header(),
		Body:    io.NopCloser(bytes.NewReader(rec.Body.Bytes())),
		Options: input.Options,
	})
}

// Operation is one operation of a document.
type Operation struct {
	Pattern string   // as routes are written: "GET /api/things/{id}"
	Scopes  []string // that a token needs
	// Examples of the body, as JSON, by name.
	Examples map[string]any
}

// Operations gives all operations, ordered by pattern.
func (d *Document) Operations() []Operation {
	var all []Operation
	for path, item := range d.spec.Paths.Map() {
		for method, op := range item.Operations() {
			all = append(all, Operation{Pattern: method + " " + path, Scopes: d.scopes(op), Examples: examples(op)})
		}
	}
	slices.SortFunc(all, func(a, b Operation) int { return strings.Compare(a.Pattern, b.Pattern) })
	return all
}

func (d *Document) scopes(op *openapi3.Operation) (scopes []string) {
	security := d.spec.Security
	if op.Security != nil {
		security = *op.Security
	}
	for _, requirement := range security {
		for _, names := range requirement {
			scopes = append(scopes, names...)
		}
	}
	slices.Sort(scopes)
	return slices.Compact(scopes)
}

func examples(op *openapi3.Operation) map[string]any {
	found := make(map[string]any)
	if op.RequestBody == nil {
		return found
	}
	for _, media := range op.RequestBody.Value.Content {
		for name, example := range media.Examples {
			found[name] = example.Value.Value
		}
	}
	return found
}

// RequireRoutes fails the test unless the document has exactly these routes, of
// those below /api/.
func (d *Document) RequireRoutes(t testing.TB, patterns []string) {
	t.Helper()
	var documented, served []string
	for _, op := range d.Operations() {
		documented = append(documented, op.Pattern)
	}
	for _, pattern := range patterns {
		if strings.Contains(pattern, " /api/") {
			served = append(served, pattern)
		}
	}
	slices.Sort(served)
	for _, pattern := range served {
		if !slices.Contains(documented, pattern) {
			t.Errorf("the document lacks %s", pattern)
		}
	}
	for _, pattern := range documented {
		if !slices.Contains(served, pattern) {
			t.Errorf("the document has %s, which is not served", pattern)
		}
	}
}

// RequireScopes calls each operation with a token that has no scope, and fails the
// test unless it is refused for lack of the documented ones.
func (d *Document) RequireScopes(t testing.TB, backend http.Handler, token string) {
	t.Helper()
	for _, op := range d.Operations() {
		if len(op.Scopes) == 0 {
			continue
		}
		method, path, _ := strings.Cut(op.Pattern, " ")
		r := httptest.NewRequest(method, strings.NewReplacer("{", "", "}", "").Replace(path), http.NoBody)
		r.Header.Set("Authorization", "Bearer "+token)
		rec := httptest.NewRecorder()
		backend.ServeHTTP(rec, r)
		want := `scope="` + strings.Join(op.Scopes, " ") + `"`
		if challenge := rec.Header().Get("WWW-Authenticate"); rec.Code != http.StatusForbidden || !strings.Contains(challenge, want) {
			t.Errorf("%s without scope: %d, challenge %s, the document has %s", op.Pattern, rec.Code, challenge, want)
		}
	}
}
