package cases

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"golang.org/x/net/http/httpguts"

	"github.com/open-tollgate/tollgate/internal/policy/mint"
)

func (p *fileReader) readRequest(n *yaml.Node) (*Request, error) {
	r := &Request{Address: p.address, Repeat: 1}
	size := 0
	err := p.mapping(n, "request", fields{
		"method":      p.text("method", &r.Method),
		"url":         p.text("url", &r.URL),
		"headers":     p.header("headers", &r.Header),
		"body":        p.text("body", &r.Body),
		"body_size":   p.number("body_size", 1, maxBody, &size),
		"address":     p.ip(&r.Address),
		"certificate": p.text("certificate", &r.Certificate),
		"untrusted":   p.flag("untrusted", &r.Untrusted),
		"server":      p.text("server", &r.Server),
		"token":       p.tokenOf(r),
		"as":          p.oneOf("as", &r.Scheme, "Bearer", "DPoP"),
		"proof":       p.proof(&r.Proof),
		"repeat":      p.number("repeat", 1, maxRepeat, &r.Repeat),
		"after":       p.number("after", 1, 1_000_000_000, &r.After),
		"service":     p.service(&r.Service),
	})
	if err != nil {
		return nil, err
	}
	if size > 0 {
		if r.Body != "" {
			return nil, p.fail(n, "request: body and body_size both")
		}
		r.Body = strings.Repeat("x", size)
	}
	r.Method = cmp.Or(r.Method, http.MethodGet)
	if strings.HasPrefix(r.URL, "/") {
		r.URL = p.base + r.URL
	}
	switch {
	case !httpguts.ValidHeaderFieldName(r.Method):
		return nil, p.fail(n, "request: method %q is none", r.Method)
	case len(r.Body) > maxBody:
		return nil, p.fail(n, "request: body is longer than %d octets", maxBody)
	case r.Untrusted && r.Certificate == "":
		return nil, p.fail(n, "request: untrusted is said of a certificate, and there is none")
	case r.Token == nil && (r.Scheme != "" || r.Proof != Proof{}):
		return nil, p.fail(n, "request: as and proof are said of a token, and there is none")
	}
	if _, _, _, err := r.target(); err != nil {
		return nil, p.fail(n, "request: %w", err)
	}
	return r, nil
}

// target takes the URL apart as it is written: a path that is not canonical is no other.
func (r *Request) target() (secure bool, host, target string, err error) {
	u, err := url.Parse(r.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
		return false, "", "", fmt.Errorf("url %q is not an http or https URL, nor a path where the file has a base", r.URL)
	}
	if port := u.Port(); port != "" {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return false, "", "", fmt.Errorf("url %q has no such port", r.URL)
		}
	}
	if strings.ContainsFunc(r.URL, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
		return false, "", "", fmt.Errorf("url %q has a blank in it", r.URL)
	}
	_, rest, _ := strings.Cut(r.URL, "://")
	target = "/"
	if n := strings.IndexAny(rest, "/?"); n >= 0 {
		target = rest[n:]
	}
	if target, _, _ = strings.Cut(target, "#"); !strings.HasPrefix(target, "/") {
		target = "/" + target
	}
	return u.Scheme == "https", u.Host, target, nil
}

func (p *fileReader) header(what string, into *http.Header) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		*into = make(http.Header)
		return p.members(n, what, func(key, value *yaml.Node) error {
			var values []string
			resolved, err := p.resolve(value)
			if err != nil {
				return err
			}
			if resolved.Kind == yaml.SequenceNode {
				err = p.texts(key.Value, &values)(value)
			} else {
				values = make([]string, 1)
				err = p.text(key.Value, &values[0])(value)
			}
			if err != nil {
				return err
			}
			if !httpguts.ValidHeaderFieldName(key.Value) || slices.ContainsFunc(values, func(v string) bool { return !httpguts.ValidHeaderFieldValue(v) }) {
				return p.fail(key, "%s: %q is no header field", what, key.Value)
			}
			if textproto.CanonicalMIMEHeaderKey(key.Value) == "Host" {
				return p.fail(key, "%s: the host is that of the url", what)
			}
			(*into)[textproto.CanonicalMIMEHeaderKey(key.Value)] = values
			return nil
		})
	}
}

func (p *fileReader) ip(into *netip.Addr) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		text, err := p.scalar(n, "address")
		if err != nil {
			return err
		}
		if *into, err = netip.ParseAddr(text); err != nil {
			return p.fail(n, "address: %q is not an IP address", text)
		}
		return nil
	}
}

func (p *fileReader) oneOf(what string, into *string, words ...string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		text, err := p.scalar(n, what)
		if err != nil {
			return err
		}
		for _, word := range words {
			if strings.EqualFold(word, text) {
				*into = word
				return nil
			}
		}
		return p.fail(n, "%s: %q is not %s", what, text, strings.Join(words, " or "))
	}
}

func (p *fileReader) service(into *Service) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		return p.mapping(n, "service", fields{
			"status":  p.number("status", 200, 599, &into.Status),
			"headers": p.header("headers", &into.Header),
			"body":    p.text("body", &into.Body),
		})
	}
}

// tokenOf reads the name of a token, none, or a token.
func (p *fileReader) tokenOf(r *Request) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		resolved, err := p.resolve(n)
		if err != nil {
			return err
		}
		if resolved.Kind == yaml.MappingNode {
			r.Token, err = p.readToken(n)
			return err
		}
		name, err := p.scalar(n, "token")
		if err != nil || name == "none" {
			return err
		}
		if r.Token = p.tokens[name]; r.Token == nil {
			return p.fail(n, "token: %q is none of the file's tokens: %s", name, strings.Join(slices.Sorted(maps.Keys(p.tokens)), ", "))
		}
		return nil
	}
}

func (p *fileReader) readToken(n *yaml.Node) (*Token, error) {
	t := &Token{Line: n.Line, Client: "client-1", User: "user-1", Expires: 5 * time.Minute}
	var loggedIn time.Duration
	err := p.mapping(n, "token", fields{
		"raw":           p.text("raw", &t.Raw),
		"issuer":        p.text("issuer", &t.Issuer),
		"audience":      p.texts("audience", &t.Audience),
		"scope":         p.texts("scope", &t.Scope),
		"client":        p.text("client", &t.Client),
		"user":          p.text("user", &t.User),
		"algorithm":     p.oneOf("algorithm", &t.Algorithm, mint.Algorithms...),
		"opaque":        p.flag("opaque", &t.Opaque),
		"inactive":      p.flag("inactive", &t.Inactive),
		"signed_by":     p.text("signed_by", &t.SignedBy),
		"expires":       p.duration("expires", &t.Expires),
		"authenticated": func(n *yaml.Node) error { t.LoggedIn = &loggedIn; return p.duration("authenticated", &loggedIn)(n) },
		"acr":           p.text("acr", &t.ACR),
		"details":       p.details(&t.Details),
		"dpop":          p.text("dpop", &t.DPoP),
		"certificate":   p.text("certificate", &t.Bound),
		"claims":        p.object("claims", &t.Claims),
		"without":       p.texts("without", &t.Without),
		"header":        p.object("header", &t.Header),
	})
	switch {
	case err != nil:
		return nil, err
	case t.Inactive && !t.Opaque:
		return nil, p.fail(n, "token: inactive is what an issuer says of an opaque token")
	case t.Opaque && (t.Algorithm != "" || t.SignedBy != "" || len(t.Header) > 0):
		return nil, p.fail(n, "token: an opaque one has no algorithm, signature or header")
	case t.Raw != "" && !httpguts.ValidHeaderFieldValue(t.Raw):
		return nil, p.fail(n, "token: raw cannot be sent in a header")
	}
	return t, nil
}

func (p *fileReader) object(what string, into *map[string]any) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		value, err := p.value(n, 0)
		if err != nil {
			return err
		}
		object, ok := value.(map[string]any)
		if !ok {
			return p.fail(n, "%s: want fields, each with a value", what)
		}
		*into = object
		return nil
	}
}

// details reads authorization_details: objects, or types alone.
func (p *fileReader) details(into *[]any) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		return p.list(n, "details", func(n *yaml.Node) error {
			value, err := p.value(n, 0)
			if kind, ok := value.(string); ok {
				value = map[string]any{"type": kind}
			}
			*into = append(*into, value)
			return err
		})
	}
}

// proof reads good, none, again, or what is wrong with it.
func (p *fileReader) proof(into *Proof) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		resolved, err := p.resolve(n)
		if err != nil {
			return err
		}
		if resolved.Kind != yaml.MappingNode {
			var word string
			if err := p.oneOf("proof", &word, "good", "none", "again")(n); err != nil {
				return err
			}
			into.None, into.Again = word == "none", word == "again"
			return nil
		}
		return p.mapping(n, "proof", fields{
			"key":    p.text("key", &into.Key),
			"method": p.text("method", &into.Method),
			"url":    p.text("url", &into.URL),
			"token":  p.text("token", &into.Token),
			"age":    p.duration("age", &into.Age),
			"nonce":  p.absentText("nonce", &into.Nonce),
		})
	}
}

func (p *fileReader) readExpect(n *yaml.Node) (Expect, error) {
	e := Expect{Line: n.Line}
	var forwarded, answered bool
	var connection string
	err := p.mapping(n, "expect", fields{
		"status":     p.number("status", 200, 599, &e.Status),
		"connection": p.oneOf("connection", &connection, string(Refused), string(Aborted)),
		"reason":     p.absentText("reason", &e.Reason),
		"type":       p.text("type", &e.Type),
		"api":        p.absentText("api", &e.API),
		"upstream":   p.text("upstream", &e.Upstream),
		"forwarded":  func(n *yaml.Node) error { e.Forwarded = &forwarded; return p.flag("forwarded", &forwarded)(n) },
		"answered":   func(n *yaml.Node) error { e.Answered = &answered; return p.flag("answered", &answered)(n) },
		"challenge":  p.text("challenge", &e.Challenge),
		"remaining":  p.remaining(&e.Remaining),
		"headers":    p.expected("headers", &e.Header),
		"service":    p.expected("service", &e.Service),
	})
	e.Connection = Connection(connection)
	if err == nil && (e.Status == 0) == (connection == "") {
		err = p.fail(n, "expect: want a status, or a connection that is refused or aborted")
	}
	return e, err
}

func (p *fileReader) remaining(into *map[string]int) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		*into = make(map[string]int)
		return p.members(n, "remaining", func(key, value *yaml.Node) error {
			var left int
			err := p.number("remaining "+key.Value, 0, 1_000_000_000, &left)(value)
			(*into)[key.Value] = left
			return err
		})
	}
}

// expected reads header fields: a value that one of them has to have, or null for none.
func (p *fileReader) expected(what string, into *map[string]*string) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		*into = make(map[string]*string)
		return p.members(n, what, func(key, value *yaml.Node) error {
			resolved, err := p.resolve(value)
			if err != nil {
				return err
			}
			name := textproto.CanonicalMIMEHeaderKey(key.Value)
			(*into)[name] = nil
			if resolved.Tag == "!!null" {
				return nil
			}
			text, err := p.scalar(value, what)
			(*into)[name] = &text
			return err
		})
	}
}
