package policy

import (
	"maps"
	"net/http"
	"strings"
	"unicode"
)

// plainer says whether it is the simpler one of two requests; by its text where both are
// as simple, so that the result does not depend on who was first.
func (r *Request) plainer(other *Request) bool {
	a, b := len(r.URL())+10*len(r.header()), len(other.URL())+10*len(other.header())
	if mine, theirs := capitals(r.Target), capitals(other.Target); a == b && mine != theirs {
		return mine < theirs
	}
	return a < b || a == b && r.Method+r.URL() <= other.Method+other.URL()
}

// header has the fields, and the Host where it is not that of the URL.
func (r *Request) header() http.Header {
	if r.Host == hostOf(siteOf(r.Host)) {
		return r.Header
	}
	header := maps.Clone(r.Header)
	if header == nil {
		header = make(http.Header)
	}
	header["Host"] = []string{r.Host}
	return header
}

func capitals(text string) (count int) {
	for _, r := range text {
		if unicode.IsUpper(r) {
			count++
		}
	}
	return count
}

func (c *Change) witness(r *Request, t *Token) {
	c.Witness = *r
	c.Witness.asked, c.Witness.parts, c.Witness.hosts = nil, nil, nil
	c.Witness.Token, c.Witness.HasCert = t, t != nil && t.X5T
	c.Witness.SentAs = Bearer
	if t != nil && t.JKT {
		c.Witness.SentAs = DPoP
	}
	c.Method, c.URL, c.Header, c.Address, c.Token = r.Method, r.URL(), r.header(), r.Remote.String(), t.String()
}

// Summary is what the configuration asks for and where it leads, in a line.
func (o *Outcome) Summary() string {
	text := o.String()
	if o.API != "" {
		text = "api " + o.API + ": " + text
	}
	if !o.Admits() {
		for _, a := range o.Asked {
			text += ", after " + strings.Join(a.Upstreams, " ") + " was asked"
		}
		return text
	}
	if o.tokens == nil {
		return text + ", no token"
	}
	for _, r := range o.requires {
		text += ", " + r.String()
	}
	return text
}
