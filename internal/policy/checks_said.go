package policy

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// What answers are made of, and what of that the caller writes.

// writesPart says whether the caller is free to write a part of a text: a header field, a
// parameter, a cookie, the body.
func writesPart(text string) bool {
	return slices.ContainsFunc(placeholder.FindAllString(text, -1), func(name string) bool {
		name = strings.Trim(name, "{}")
		return isWritten(name) || strings.HasPrefix(name, "http.request.header.")
	})
}

// hostNames are placeholders of which a rule for certain hosts says what they may be.
var hostNames = []string{"http.request.host", "http.request.hostport"}

// choosesPart says whether a caller of the rule can make up a part of a text.
func (r *Rule) choosesPart(text string) bool {
	if len(r.Hosts) > 0 && !strings.Contains(strings.Join(r.Hosts, ""), "*") {
		for _, name := range hostNames {
			text = strings.ReplaceAll(text, "{"+name+"}", "")
		}
	}
	return r.server.choosesPart(text)
}

func folderByChoice(l *linter) {
	l.each(func(r *Rule) {
		h, ok := r.by.(*FilesHandler)
		if !ok {
			return
		}
		roots := r.on.roots
		if h.Root != "" {
			roots = []string{h.Root}
		}
		for _, root := range append(slices.Clip(roots), h.FS) {
			if r.choosesPart(root) {
				l.found(r.API, r.At, "%s gets files of %s", r.Where(), root)
			}
		}
	})
}

func pathByChoice(l *linter) {
	l.each(func(r *Rule) {
		for _, uri := range r.on.uris {
			if path, _, _ := strings.Cut(uri, "?"); r.Kind != Responded && writesPart(path) {
				l.found(r.API, r.At, "%s asks for %s", r.Where(), uri)
			}
		}
	})
}

// triedFiles are those that a matcher of files looks for, which it can be rewritten to.
func triedFiles(raw string) []string {
	var m struct {
		TryFiles []string `json:"try_files"`
	}
	_ = json.Unmarshal([]byte(raw), &m) // what is not read so does not load
	return slices.DeleteFunc(m.TryFiles, func(file string) bool { return !hasPlaceholder(file) })
}

func hostByChoice(l *linter) {
	l.each(func(r *Rule) {
		for _, host := range r.on.hosts {
			if r.leads() && writesPart(host) {
				l.found(r.API, r.At, "%s is sent on with Host %s", r.Where(), host)
			}
		}
	})
}

// hosts are the values that it gives the Host.
func (c *fieldChanges) hosts() (all []string) {
	if c == nil {
		return nil
	}
	for _, values := range []map[string][]string{c.Set, c.Add} {
		for _, name := range slices.Sorted(maps.Keys(values)) {
			if strings.EqualFold(name, "Host") {
				all = append(all, values[name]...)
			}
		}
	}
	return all
}

func openRedirect(l *linter) {
	l.config.Visit(func(h Handler) {
		for _, location := range locations(h) {
			if writesPart(authority(location)) {
				l.found(l.apiAt(placeOf(h)), placeOf(h), "leads to %s", location)
			}
		}
	})
}

// locations are where a handler sends callers to.
func locations(h Handler) (all []string) {
	switch h := h.(type) {
	case *Static:
		for name, values := range h.Headers {
			if strings.EqualFold(name, "Location") {
				all = append(all, values...)
			}
		}
	case *Headers:
		var changes fieldChanges
		_ = json.Unmarshal(h.Response, &changes) // was read before
		for _, values := range []map[string][]string{changes.Set, changes.Add} {
			for name := range values {
				if strings.EqualFold(name, "Location") {
					all = append(all, values[name]...)
				}
			}
		}
	}
	return all
}

// authority is the part of a reference that says which host is meant, or can come to say so:
// of "/{x}", where x begins with a slash, too (RFC 3986, 4.2).
func authority(reference string) string {
	if _, rest, absolute := strings.Cut(reference, "://"); absolute && !strings.Contains(reference[:len(reference)-len(rest)], "/{") {
		reference = reference[:len(reference)-len(rest)-len("://")] + rest
	}
	reference = strings.TrimLeft(reference, "/")
	if end := strings.IndexAny(reference, "/?#"); end >= 0 {
		reference = reference[:end]
	}
	return reference
}

func secretTold(l *linter) {
	l.config.Visit(func(h Handler) {
		for _, name := range toldBy(h) {
			l.found(l.apiAt(placeOf(h)), placeOf(h), "the answer has %s in it", name)
		}
	})
	for _, r := range l.rules {
		h, ok := r.by.(*Static)
		if !ok || r.on.template == nil {
			continue
		}
		for _, action := range r.on.template.actions(h.Body) {
			if reads.MatchString(action) {
				l.found(r.API, r.At, "the answer has %s in it", action)
			}
		}
	}
}

// toldBy is what a handler has of the environment, or of files, in an answer: but for where it
// sends callers to, which they are meant to know.
func toldBy(h Handler) []string {
	var texts []string
	switch h := h.(type) {
	case *Static:
		texts = append(texts, h.Body)
		for name, values := range h.Headers {
			if !strings.EqualFold(name, "Location") {
				texts = append(texts, values...)
			}
		}
	case *Headers:
		texts = append(texts, h.answer)
	case *Proxy:
		texts = append(texts, h.answer)
	}
	return private(strings.Join(texts, "\n"))
}

// reads are actions of a template that tell what only the edge can read.
var reads = regexp.MustCompile(`\b(env|readFile|listFiles|fileStat)\b|placeholder +["` + "`" + `](env|file)\.`)

// asks are those that read a file, or send a request, and take what comes for a template, or as it is.
var (
	asks    = regexp.MustCompile(`\b(env|include|import|httpInclude|readFile|listFiles|fileStat|fileExists|placeholder)\b`)
	callers = regexp.MustCompile(`\.(Req|OriginalReq|Cookie)\b|placeholder +["` + "`" + `]http\.request\.(uri\.query|header|cookie|body)`)
)

func templateByChoice(l *linter) {
	for _, r := range l.rules {
		h, ok := r.by.(*Static)
		if !ok || r.on.template == nil {
			continue
		}
		if writesPart(h.Body) {
			l.found(r.API, r.At, "%s runs %s", r.Where(), strings.Join(placeholder.FindAllString(h.Body, -1), " "))
		}
		for _, action := range r.on.template.actions(h.Body) {
			if asks.MatchString(action) && callers.MatchString(action) && !strings.HasPrefix(strings.TrimSpace(action), "{{placeholder") {
				l.found(r.API, r.At, "%s runs %s", r.Where(), action)
			}
		}
	}
}

// placeOf is where a handler that answers is.
func placeOf(h Handler) string {
	switch h := h.(type) {
	case *Static:
		return h.At
	case *Headers:
		return h.At
	case *Proxy:
		return h.At
	default:
		return ""
	}
}

// apiAt names the API around a place; empty: there is none.
func (l *linter) apiAt(at string) (name string) {
	l.config.Visit(func(h Handler) {
		if api, ok := h.(*API); ok && strings.HasPrefix(at, api.At+"/") {
			name = api.Name
		}
	})
	return name
}
