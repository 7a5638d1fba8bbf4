package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// variants are the request, and others that no matcher tells from it, with what these fields look
// at. They are not whole where a text that one of them replaces, or a client behind a proxy, could
// not be tried.
func (c *wayDiff) variants(name string, fields ...field) (all []*Request, whole bool) {
	r := c.request
	mentioned := append([]string{name}, mentions(fields)...)
	texts := replaced(fields)
	whole = true
	for _, sample := range append([]string{stranger}, texts...) {
		v := *r
		v.Header = maps.Clone(r.Header)
		for n, field := range mentioned {
			text := sample
			if n > 0 { // each its own
				text = fmt.Sprintf("%s-%d", stranger, n)
			}
			if field == "" || field == "Host" {
				continue
			}
			if values, may := r.possibly(field, text); may {
				v.Header[field] = values
			} else if n == 0 && sample != stranger && slices.ContainsFunc(fields, isSent) {
				whole = whole && r.isAbsent(field)
			}
		}
		all = append(all, &v)
	}
	if name == "Host" && len(texts) > 0 && slices.ContainsFunc(fields, isSent) {
		named, wholly := r.named(texts)
		all, whole = append(all, named...), wholly
	}
	for _, text := range texts {
		made, wholly := r.madeWith(text, mentioned, fields)
		all, whole = append(all, made...), whole && wholly
	}
	other := *all[0]
	if !r.asked["method"] {
		other.Method = "POST"
	}
	if !r.asked["address"] {
		other.Remote = further(r.Remote, 1, 0, 0)
	}
	all = append(all, &other)
	for _, y := range []*way{c.was, c.is} {
		forwarded, known := y.walk.server.forwarded(r)
		if forwarded != nil {
			all = append(all, forwarded)
		}
		whole = whole && (known || !slices.ContainsFunc(fields, field.tellsClient))
	}
	if !r.asked["port"] {
		ported := *all[0]
		ported.Host += ":1"
		all = append(all, &ported)
	}
	if slices.ContainsFunc(fields, field.callers) { // it shows more where there is one
		return append(all, r), whole
	}
	return append([]*Request{r}, all...), whole
}

// mentions are the fields that what is put into these is made of.
func mentions(fields []field) (all []string) {
	for _, f := range fields {
		for _, p := range placeholder.FindAllString(f.String(), -1) {
			if field, ok := strings.CutPrefix(strings.Trim(p, "{}"), "http.request.header."); ok {
				all = append(all, canonicalField(field))
			}
		}
	}
	return all
}

// replaced are texts that these make others of.
func replaced(fields []field) (all []string) {
	for _, f := range fields {
		for _, op := range f.ops {
			switch {
			case op.kind != opReplace:
			case op.regexp != "":
				all = append(all, regexpInstances(op.regexp, 4)...)
			default:
				all = append(all, placeholder.ReplaceAllString(plain(op.search), stranger))
			}
		}
	}
	return all
}

// madeWith are the request with a text that is replaced in all that the fields are made of, where
// matchers take that for the same. They are not whole where it could not be put in.
func (r *Request) madeWith(text string, mentioned []string, fields []field) (all []*Request, whole bool) {
	whole = true
	for _, other := range []string{text, stranger} { // of which the text may be made itself
		v := *r
		v.Header = maps.Clone(r.Header)
		for n, field := range mentioned {
			own := other
			if n == 0 {
				own = text
			}
			if field == "Host" {
				continue
			}
			if values, may := r.possibly(field, own); may {
				v.Header[field] = values
			} else if n > 0 {
				whole = whole && r.isAbsent(field)
			}
		}
		all = append(all, &v)
	}
	made := ""
	for _, f := range fields {
		made += f.String()
		whole = whole && !f.guessed // of which no more is asked than the samples have
	}
	if strings.Contains(made, "{http.request.method}") {
		v := *all[0]
		switch {
		case r.asked["method"]:
			whole = whole && slices.Contains(knownMethods, text)
		case httpguts.ValidHeaderFieldName(text): // a method is a token as well (RFC 9110, 9.1)
			v.Method = text
			all = append(all, &v)
		}
	}
	if strings.Contains(made, "{http.request.host") {
		named, wholly := all[0].named([]string{text})
		all, whole = append(all, named...), whole && wholly
	}
	return all, whole
}

func isSent(f field) bool { return f.sent }

func (f field) tellsClient() bool { return strings.Contains(f.String(), "{http.vars.client_ip}") }

// isAbsent says whether the request is one without the field.
func (r *Request) isAbsent(field string) bool {
	return r.isClosed(field) && len(r.Header[field]) == 0
}

// named are the request with each of the texts in its Host, where matchers take that for the same.
// They are whole if each is.
func (r *Request) named(texts []string) (all []*Request, whole bool) {
	if r.hosts == nil {
		return nil, false
	}
	name := hostOf(siteOf(r.Host))
	port := strings.TrimPrefix(r.Host, name)
	class := r.hosts.class(r.Host)
	whole = true
	for _, text := range texts {
		found := false
		for _, host := range []string{text, text + ".test", text + port, name + text, text + name, name + ":" + text, text + "." + r.Host, r.Host} {
			if strings.Contains(host, text) && isHost(host) && r.hosts.class(host) == class {
				v := *r
				v.Host, found = host, true
				all = append(all, &v)
			}
		}
		whole = whole && found
	}
	return all, whole
}
