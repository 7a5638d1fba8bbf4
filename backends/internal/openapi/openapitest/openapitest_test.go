package openapitest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const things = `
openapi: 3.1.0
info: {title: Things, version: "1"}
servers: [{url: /}]
paths:
  /api/things/{id}:
    post:
      operationId: makeThing
      security: [{oauth: ["things:write"]}]
      parameters:
        - {name: id, in: path, required: true, schema: {type: string}}
        - {name: limit, in: query, schema: {type: integer, minimum: 0}}
      requestBody:
        required: true
        content:
          application/json:
            schema:
              type: object
              additionalProperties: false
              required: [name]
              properties: {name: {type: [string, "null"], maxLength: 5}}
            examples: {usual: {value: {name: bolt}}}
      responses:
        "200":
          description: Made.
          headers: {ETag: {required: true, schema: {type: string}}}
          content:
            application/json:
              schema:
                type: object
                additionalProperties: false
                required: [id]
                properties: {id: {type: string, format: uuid}}
        "422": {description: Refused.}
components:
  securitySchemes:
    oauth:
      type: oauth2
      flows: {clientCredentials: {tokenUrl: /oauth/token, scopes: {"things:write": Make things}}}
`

// answering is a backend that always answers the same.
func answering(status int, body string, header ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	})
}

// A check that cannot fail is none: each kind of lie is told once.
func TestHandlerFindsLies(t *testing.T) {
	t.Parallel()
	d := Load(t, []byte(things))
	const id = `{"id":"01890000-0000-7000-8000-000000000000"}`
	tag := []string{"ETag", `"1"`}
	for name, c := range map[string]struct {
		path, body string
		backend    http.Handler
		lie        bool
	}{
		"true":                      {"/api/things/1", `{"name":"bolt"}`, answering(200, id, tag...), false},
		"true, refused":             {"/api/things/1", `{"name":"too long"}`, answering(422, `{}`), false},
		"null is a type":            {"/api/things/1", `{"name":null}`, answering(200, id, tag...), false},
		"unknown path, refused":     {"/api/other", `{}`, answering(404, `{}`), false},
		"taken though too long":     {"/api/things/1", `{"name":"too long"}`, answering(200, id, tag...), true},
		"taken with unknown member": {"/api/things/1", `{"name":"a","x":1}`, answering(200, id, tag...), true},
		"taken with bad parameter":  {"/api/things/1?limit=-1", `{"name":"a"}`, answering(200, id, tag...), true},
		"status not documented":     {"/api/things/1", `{"name":"bolt"}`, answering(201, id, tag...), true},
		"header missing":            {"/api/things/1", `{"name":"bolt"}`, answering(200, id), true},
		"member not documented":     {"/api/things/1", `{"name":"bolt"}`, answering(200, `{"id":"01890000-0000-7000-8000-000000000000","x":1}`, tag...), true},
		"member missing":            {"/api/things/1", `{"name":"bolt"}`, answering(200, `{}`, tag...), true},
		"format wrong":              {"/api/things/1", `{"name":"bolt"}`, answering(200, `{"id":"7"}`, tag...), true},
		"another media type":        {"/api/things/1", `{"name":"bolt"}`, answering(200, id, "ETag", `"1"`, "Content-Type", "text/html"), true},
		"operation not in document": {"/api/other", `{}`, answering(200, `{}`), true},
	} {
		reporter := &reporter{TB: t}
		r := httptest.NewRequest(http.MethodPost, c.path, strings.NewReader(c.body))
		r.Header.Set("Content-Type", "application/json")
		d.Handler(reporter, c.backend).ServeHTTP(httptest.NewRecorder(), r)
		if (reporter.errors != "") != c.lie {
			t.Errorf("%s: reported %q", name, reporter.errors)
		}
	}
}

// reporter takes a test's errors down instead of failing.
type reporter struct {
	testing.TB
	errors string
}

func (r *reporter) Error(args ...any)                 { r.errors += fmt.Sprint(args...) }
func (r *reporter) Errorf(format string, args ...any) { r.errors += fmt.Sprintf(format, args...) }

func TestRoutesAndScopes(t *testing.T) {
	t.Parallel()
	d := Load(t, []byte(things))
	for patterns, want := range map[string]string{
		"POST /api/things/{id}":                      "",
		"POST /api/things/{id},GET /internal/things": "",
		"POST /api/things/{id},GET /api/things/{id}": "lacks GET",
		"GET /metrics": "not served",
	} {
		reporter := &reporter{TB: t}
		d.RequireRoutes(reporter, strings.Split(patterns, ","))
		if !strings.Contains(reporter.errors, want) || want == "" && reporter.errors != "" {
			t.Errorf("%s: reported %q", patterns, reporter.errors)
		}
	}
	for challenge, right := range map[string]bool{
		`Bearer scope="things:write"`: true, `Bearer scope="things:read"`: false, "": false,
	} {
		reporter := &reporter{TB: t}
		d.RequireScopes(reporter, answering(403, `{}`, "WWW-Authenticate", challenge), "token")
		if (reporter.errors == "") != right {
			t.Errorf("%s: reported %q", challenge, reporter.errors)
		}
	}
	if ops := d.Operations(); len(ops) != 1 || len(ops[0].Examples) != 1 {
		t.Errorf("%+v", ops)
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"3.0":           strings.Replace(things, "3.1.0", "3.0.3", 1),
		"wrong example": strings.Replace(things, "{name: bolt}", "{nme: bolt}", 1),
		"no YAML":       "{",
	} {
		if _, err := load([]byte(text)); err == nil {
			t.Errorf("%s: loaded", name)
		}
	}
}
