// Package page renders what people see of the authorization server: sign in,
// consent, and what went wrong. The pages need no script and load nothing but
// one style sheet from this origin.
package page

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"strconv"
	"time"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed assets
var assetFiles embed.FS

var (
	signInPage  = parse("signin.html")
	consentPage = parse("consent.html")
	problemPage = parse("problem.html")
)

func parse(name string) *template.Template {
	return template.Must(template.New("layout.html").ParseFS(templateFiles, "templates/layout.html", "templates/"+name))
}

// Interaction is what each page of one authorization request has.
type Interaction struct {
	ID           string // of the authorization session; its pages post below /oauth/authorize/ID
	Client       string // the client's name
	ClientOrigin string // where the answer will be sent, for form-action
	CSRF         string
}

// SignIn asks for username and password.
type SignIn struct {
	Interaction
	Username string // filled in already
	Problem  string // what was wrong with the last try
}

// Consent asks the user to approve.
type Consent struct {
	Interaction
	User    string   // who is signed in
	Scopes  []string // what is asked for, in plain words
	Lasts   string   // for how long the client can do that without asking again; empty: it cannot
	Payment *Payment // nil when no payment is asked for
	Problem string   // what was wrong with the last try
}

// Payment is the payment to approve, as the payments service has it.
type Payment struct {
	Amount      string
	Payee       string
	Description string
	Accounts    []Account
}

// Account is an account that the payment can be made from.
type Account struct {
	ID        string
	Name      string
	Available string
	Selected  bool
	TooLittle bool // it does not hold the amount
}

// Payable tells whether there is an account that holds the amount.
func (p Payment) Payable() bool {
	for _, a := range p.Accounts {
		if !a.TooLittle {
			return true
		}
	}
	return false
}

// Problem says why it does not go on.
type Problem struct {
	Status     int
	Title      string
	Message    string
	RetryAfter time.Duration // 0: none
}

// Write renders the page with the status.
func (p SignIn) Write(w http.ResponseWriter, status int) {
	write(w, signInPage, p, status, p.ClientOrigin)
}

// Write renders the page with the status.
func (p Consent) Write(w http.ResponseWriter, status int) {
	write(w, consentPage, p, status, p.ClientOrigin)
}

// Write renders the page with its status.
func (p Problem) Write(w http.ResponseWriter) {
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(p.RetryAfter.Seconds())))
	}
	write(w, problemPage, p, p.Status, "")
}

func write(w http.ResponseWriter, t *template.Template, data any, status int, clientOrigin string) {
	var body bytes.Buffer
	if err := t.Execute(&body, data); err != nil {
		panic(err) // the templates and their data are both here: a test renders each
	}
	h := w.Header()
	SecurityHeader(h)
	h.Set("Content-Type", "text/html; charset=utf-8")
	// Browsers hold the redirect after a form against form-action too, so the
	// client's origin has to be in it.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; "+
		"base-uri 'none'; frame-ancestors 'none'; form-action 'self'"+prefixed(" ", clientOrigin))
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // the browser is gone: nobody to tell
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

// SecurityHeader sets what every answer to a browser has.
func SecurityHeader(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
}

// Assets serves the style sheet and the icon below prefix.
func Assets(prefix string) http.Handler {
	files := http.StripPrefix(prefix, http.FileServerFS(assetFiles))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=3600")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		r.URL.Path = prefix + "assets/" + r.URL.Path[len(prefix):]
		files.ServeHTTP(w, r)
	})
}
