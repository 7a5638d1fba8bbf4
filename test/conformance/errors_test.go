package conformance

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// errorsConfig is a small edge on plain HTTP: one site that leaves errors to the APIs,
// one that has its own handle_errors, and one that listens twice.
const errorsConfig = `{
	admin {$TOLLGATE_ADMIN}
	auto_https off
	tollgate {
		issuer https://issuer.test {
			audience a
		}
	}
}
(apis) {
	api {args[0]} /upload* {
		public
		request_body {
			max_size 10
		}
		reverse_proxy {$SERVICE}
	}
	api {args[0]}_token /token* {
		access_token
		respond "never"
	}
	api {args[0]}_own /own* {
		public
		methods GET
		error /own/409 "" 409
		error /own/500 "" 500
		abort /own/abort
		respond /own/ids "{http.api.name} {http.api.request_id} {http.api.interaction_id}"
	}
}
http://{$PLAIN} {
	import apis plain
}
http://{$PAGES} {
	import apis pages
	handle_errors {
		respond "page {http.error.status_code}"
	}
}
http://{$FIRST}, http://{$SECOND} {
	api twice_token /token {
		access_token
	}
	api twice {
		public
		respond "ok"
	}
}
`

func TestErrorsOfOtherHandlers(t *testing.T) {
	t.Parallel()
	plain, pages, first, second := freeAddress(t), freeAddress(t), freeAddress(t), freeAddress(t)
	e := startEdge(t, writeConfig(t, "Caddyfile", errorsConfig), "TOLLGATE_ADMIN="+freeAddress(t),
		"PLAIN="+plain, "PAGES="+pages, "FIRST="+first, "SECOND="+second, "SERVICE="+newService(t).server.Listener.Addr().String())

	tests := []struct {
		name, address, path, body string
		status                    int
		code                      string // empty: what handle_errors answers
	}{
		{"body too large", plain, "/upload", strings.Repeat("x", 11), 413, "content_too_large"},
		{"some 4xx", plain, "/own/409", "", 409, "request_refused"},
		{"some 5xx", plain, "/own/500", "", 500, "internal_error"},
		{"nothing there", plain, "/own", "", 404, "not_found"},
		{"no token", plain, "/token", "", 401, "missing_credentials"},
		{"body too large, own page", pages, "/upload", strings.Repeat("x", 11), 413, ""},
		{"nothing there, own page", pages, "/own", "", 404, ""},
		{"no token, own page", pages, "/token", "", 401, ""},
	}
	for _, test := range tests {
		got := send(t, test.address, test.path, test.body)
		checkIDs(t, got)
		if got.status != test.status {
			t.Errorf("%s: %d %s", test.name, got.status, got.body)
		}
		if test.code != "" {
			if got.problem(t)["code"] != test.code {
				t.Errorf("%s: %s", test.name, got.body)
			}
		} else if !strings.HasPrefix(string(got.body), "page ") {
			t.Errorf("%s: %s", test.name, got.body)
		}
		if wanted := test.status == http.StatusUnauthorized; (got.header.Get("WWW-Authenticate") != "") != wanted {
			t.Errorf("%s: WWW-Authenticate %q", test.name, got.header.Get("WWW-Authenticate"))
		}
	}

	got := send(t, plain, "/own/ids", "")
	want := "plain_own " + got.header.Get("X-Request-Id") + " " + got.header.Get("X-Fapi-Interaction-Id")
	if string(got.body) != want {
		t.Errorf("placeholders: %q, want %q", got.body, want)
	}
	for _, address := range []string{first, second} {
		if got := send(t, address, "/", ""); string(got.body) != "ok" {
			t.Errorf("a site that listens twice: %d %s", got.status, got.body)
		}
	}
	fresh := &http.Client{Transport: new(http.Transport)} // on a connection used before, it would try again
	if response, err := fresh.Get("http://" + plain + "/own/abort"); err == nil {
		t.Errorf("abort: %d", read(t, response).status)
	}
	for series, want := range map[string]string{
		`tollgate_requests_total{api="plain_own",code="499",method="GET"}`: "1",
		`tollgate_requests_total{api="pages_own",code="404",method="GET"}`: "1",
		`tollgate_requests_total{api="plain",code="413",method="POST"}`:    "1",
		`tollgate_requests_total{api="twice",code="200",method="GET"}`:     "2",
		`tollgate_request_duration_seconds_count{api="twice"}`:             "2",
	} {
		if got := e.metric(series); got != want {
			t.Errorf("%s is %s, want %s", series, got, want)
		}
	}
}

// sitesConfig is two sites and more on one port, of which one has its own answers to
// some errors of its own.
const sitesConfig = `{
	admin {$TOLLGATE_ADMIN}
	auto_https off
	tollgate {
		issuer https://issuer.test {
			audience a
		}
	}
}
http://pages.test:{$PORT} {
	bind 127.0.0.1
	handle_path /v1/* {
		api pages {
			access_token
		}
	}
	api pages_open /410 /nothing {
		public
		error /410 "" 410
	}
	handle_errors 401 {
		respond /v1/* "page {http.error.status_code}"
	}
	handle_errors 5xx {
		respond "page {http.error.status_code}"
	}
}
http://plain.test:{$PORT} {
	bind 127.0.0.1
	api plain {
		access_token
	}
}
http://maintenance.test:{$PORT} {
	bind 127.0.0.1
	error 503
	handle_errors {
		api maintenance {
			public
			error /again "" 500
		}
	}
}
`

// TestErrorsOfOtherSites: what one site makes of its errors changes no other's.
func TestErrorsOfOtherSites(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	startEdge(t, writeConfig(t, "Caddyfile", sitesConfig), "TOLLGATE_ADMIN="+freeAddress(t), "PORT="+port)
	tests := []struct {
		host, path string
		status     int
		code       string // empty: a page
	}{
		{"pages.test", "/v1/x", 401, ""},
		{"pages.test", "/410", 410, "request_refused"},
		{"pages.test", "/nothing", 404, "not_found"},
		{"plain.test", "/v1/x", 401, "missing_credentials"},
		{"maintenance.test", "/", 404, "not_found"},
		{"maintenance.test", "/again", 500, "internal_error"},
	}
	for _, test := range tests {
		got := send(t, address, test.path, "", withHost(test.host))
		if got.status != test.status {
			t.Errorf("%s%s: %d %s", test.host, test.path, got.status, got.body)
			continue
		}
		if test.code == "" && string(got.body) != fmt.Sprint("page ", test.status) {
			t.Errorf("%s%s: %s", test.host, test.path, got.body)
		}
		if test.code != "" && got.problem(t)["code"] != test.code {
			t.Errorf("%s%s: %s", test.host, test.path, got.body)
		}
	}
}

// TestKeysOutOfReach has an issuer that cannot be asked: nobody can tell, nobody gets in.
func TestKeysOutOfReach(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.reload("TOLLGATE_JWKS_URI=http://" + freeAddress(t) + "/keys")
	p.expectNothingBehind(t, func() {
		got := p.do(t, http.MethodGet, "/api/accounts", withBearer(p.issuer.Token()))
		if got.status != http.StatusServiceUnavailable || got.problem(t)["code"] != "temporarily_unavailable" || got.header.Get("Retry-After") == "" {
			t.Fatalf("%d %v %s", got.status, got.header, got.body)
		}
	})
}

// send sends a POST where there is a body, else a GET.
func send(t *testing.T, address, path, body string, options ...option) answer {
	t.Helper()
	method, content := http.MethodGet, io.Reader(http.NoBody)
	if body != "" {
		method, content = http.MethodPost, strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+path, content)
	if err != nil {
		t.Fatal(err)
	}
	for _, option := range options {
		option(r)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, response)
}
