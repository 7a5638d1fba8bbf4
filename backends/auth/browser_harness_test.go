package auth

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// browser is a browser with its cookies; it follows no redirect by itself.
type browser struct {
	w      *world
	client *http.Client
}

func (w *world) browser() *browser {
	jar, _ := cookiejar.New(nil) // fails for bad options only
	client := *w.http
	client.Jar = jar
	return &browser{w, &client}
}

// view is what a browser got.
type view struct {
	t        testing.TB
	status   int
	header   http.Header
	location string
	html     string
}

func (b *browser) do(r *http.Request) view {
	b.w.t.Helper()
	answer, err := b.client.Do(r)
	if err != nil {
		b.w.t.Error(err)
		return view{t: b.w.t}
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		b.w.t.Error(err)
	}
	return view{b.w.t, answer.StatusCode, answer.Header, answer.Header.Get("Location"), string(body)}
}

func (b *browser) get(target string) view {
	b.w.t.Helper()
	return b.send(http.MethodGet, target)
}

func (b *browser) send(method, target string) view {
	b.w.t.Helper()
	if strings.HasPrefix(target, "/") {
		target = b.w.issuer + target
	}
	r, err := http.NewRequestWithContext(b.w.t.Context(), method, target, nil)
	if err != nil {
		b.w.t.Fatal(err)
	}
	return b.do(r)
}

// open opens a request_uri and gives the page behind the first redirect.
func (b *browser) open(a *app, requestURI string) view {
	b.w.t.Helper()
	first := b.get(openURL(a, requestURI))
	if first.status != http.StatusSeeOther || !strings.HasPrefix(first.location, authorizePath) {
		return first
	}
	return b.get(first.location)
}

func openURL(a *app, requestURI string) string {
	return authorizePath + "?" + url.Values{"client_id": {a.ClientID}, "request_uri": {requestURI}}.Encode()
}

var (
	formAction = regexp.MustCompile(`<form method="post" action="([^"]+)"`)
	csrfField  = regexp.MustCompile(`name="csrf" value="([^"]+)"`)
)

// action gives the path of the page's form that ends in step.
func (v view) action(step string) string {
	v.t.Helper()
	for _, m := range formAction.FindAllStringSubmatch(v.html, -1) {
		if strings.HasSuffix(m[1], "/"+step) {
			return m[1]
		}
	}
	v.t.Fatalf("no form %s on the page (%d): %s", step, v.status, v.html)
	return ""
}

func (v view) csrf() string {
	v.t.Helper()
	m := csrfField.FindStringSubmatch(v.html)
	if m == nil {
		v.t.Fatalf("no form on the page (%d): %s", v.status, v.html)
	}
	return html.UnescapeString(m[1])
}

// form makes the request of a form on the page.
func (b *browser) form(v view, step string, fields url.Values) *http.Request {
	b.w.t.Helper()
	fields.Set("csrf", v.csrf())
	return b.post(v.action(step), fields)
}

func (b *browser) post(path string, fields url.Values) *http.Request {
	b.w.t.Helper()
	r, err := http.NewRequestWithContext(b.w.t.Context(), http.MethodPost, b.w.issuer+path, strings.NewReader(fields.Encode()))
	if err != nil {
		b.w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

func (b *browser) submit(v view, step string, fields url.Values) view {
	b.w.t.Helper()
	return b.do(b.form(v, step, fields))
}

// signIn submits the sign-in page as Alice and gives the page that follows.
func (b *browser) signIn(v view) view {
	b.w.t.Helper()
	after := b.submit(v, "login", url.Values{"username": {"alice"}, "password": {alicePassword}})
	if after.status != http.StatusSeeOther {
		b.w.t.Fatalf("sign-in: %d %s", after.status, after.html)
	}
	return b.get(after.location)
}

func approval() url.Values { return url.Values{"decision": {"approve"}, "account": {aliceAccount}} }

// consent signs in, approves and gives the code.
func (b *browser) consent(a *app, requestURI string) string {
	b.w.t.Helper()
	v := b.open(a, requestURI)
	if strings.Contains(v.html, `name="password"`) {
		v = b.signIn(v)
	}
	return b.submit(v, "consent", approval()).code()
}

// answer gives the parameters of the redirect to the client.
func (v view) answer() url.Values {
	v.t.Helper()
	u, err := url.Parse(v.location)
	if err != nil || v.status != http.StatusSeeOther || !strings.HasPrefix(v.location, "https://shop.example/callback?") {
		v.t.Fatalf("no redirect to the client: %d %q %s", v.status, v.location, v.html)
	}
	return u.Query()
}

func (v view) code() string {
	v.t.Helper()
	code := v.answer().Get("code")
	if code == "" {
		v.t.Fatalf("no code: %v", v.answer())
	}
	return code
}

// problem fails the test unless the view is a styled page with the status.
func (v view) problem(status int, words string) {
	v.t.Helper()
	if v.status != status || !strings.Contains(v.html, words) || !strings.Contains(v.html, "/oauth/assets/style.css") {
		v.t.Errorf("got %d %q %s, want a page with %d and %q", v.status, v.location, v.html, status, words)
	}
}
