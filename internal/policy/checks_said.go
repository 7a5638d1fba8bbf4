package policy

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// What answers are made of, and what of that the caller writes.

func folderByChoice(l *linter) {
	l.each(func(r *Rule) {
		h, ok := r.by.(*FilesHandler)
		if !ok {
			return
		}
		for _, text := range []string{h.Root, h.FS} {
			if r.madeUp(text, ofChance) && text != "{"+rootVar+"}" {
				l.found(r.API, r.At, "%s gets files of %s", r.Where(), text)
			}
		}
		if h.Root != "" && h.Root != "{"+rootVar+"}" {
			return
		}
		for _, root := range r.may(rootVar) { // as where nothing is said
			if r.has(root.text, ofChance) {
				l.found(r.API, r.At, "%s gets files of %s", r.Where(), root.written)
			}
		}
	})
}

func pathByChoice(l *linter) {
	l.each(func(r *Rule) {
		for _, path := range r.may(uriKey) {
			if r.Kind != Responded && r.has(path.text, ofCaller) {
				l.found(r.API, r.At, "%s asks for %s", r.Where(), path.written)
			}
		}
	})
}

func hostByChoice(l *linter) {
	l.each(func(r *Rule) {
		for _, host := range r.may(hostKey) {
			if r.leads() && r.has(host.text, ofPath) {
				l.found(r.API, r.At, "%s is sent on with Host %s", r.Where(), host.written)
			}
		}
	})
}

// saying is a handler that has a placeholder in an answer, and how requests come to it.
type saying struct {
	rule Rule
	by   Handler
}

// hear notes who says something that is not written out.
func (l *linter) hear(r *Rule, h Handler) {
	var texts []string
	switch h := h.(type) {
	case *Static:
		texts = slices.Concat(toldBy(h), locations(h))
	case *Headers:
		texts = []string{h.answer}
	case *Proxy:
		texts = []string{h.answer}
	}
	if slices.ContainsFunc(texts, placeholder.MatchString) {
		l.said = append(l.said, saying{*r, h})
	}
}

func openRedirect(l *linter) {
	for _, s := range l.said {
		for _, location := range locations(s.by) {
			if slices.ContainsFunc(s.rule.spell(location), s.rule.leadsAnywhere) {
				l.found(s.rule.API, placeOf(s.by), "leads to %s", location)
			}
		}
	}
}

// locations are where a handler sends callers to.
func locations(h Handler) (all []string) {
	switch h := h.(type) {
	case *Static:
		return valuesOf(h.Headers, "Location")
	case *Headers:
		return locationsIn(h.Response)
	case *Proxy:
		if h.Headers != nil {
			return locationsIn(h.Headers.Response)
		}
	}
	return nil
}

func locationsIn(response json.RawMessage) []string {
	var changes fieldChanges
	_ = json.Unmarshal(response, &changes) // was read before
	all := slices.Concat(valuesOf(changes.Set, "Location"), valuesOf(changes.Add, "Location"))
	for _, one := range valuesOf(changes.Replace, "Location") {
		all = append(all, one.With)
	}
	return all
}

// The beginning of a reference, in front of what the caller writes, that leaves the host to
// him: as browsers read it, for which a backslash is a slash (RFC 3986, 4.2; WHATWG URL).
var (
	beginsPath = strings.NewReplacer("{http.request.uri}", "/{http.request.uri}", "{http.request.uri.path}", "/{http.request.uri.path}",
		"{http.request.orig_uri}", "/{http.request.orig_uri}", "{http.request.orig_uri.path}", "/{http.request.orig_uri.path}")
	noHostYet = regexp.MustCompile(`(?i)^(h?|ht|htt|https?|https?:[/\\]*[^/\\?#]*|[a-z][a-z0-9+.-]*:[/\\]{2}[^/\\?#]*|[/\\]{1,2}|[/\\]{2}[^/\\?#]*|[^/\\?#]*\x00[^/\\?#]*)$`)
)

// leadsAnywhere says whether the caller writes a part of the host that a reference is for.
func (r *Rule) leadsAnywhere(reference string) bool {
	rest := strings.TrimSpace(reference)
	if r.API != "" && !r.on.moved { // an api has none but canonical paths
		rest = strings.NewReplacer("{http.request.uri}", "/-", "{http.request.uri.path}", "/-").Replace(rest)
	}
	rest = beginsPath.Replace(rest)
	var before string
	for {
		at := placeholder.FindStringIndex(rest)
		if at == nil {
			return false
		}
		name := rest[at[0]:at[1]]
		before += rest[:at[0]]
		if r.of(name) >= ofPath {
			return noHostYet.MatchString(before)
		}
		before += standIn(name)
		rest = rest[at[1]:]
	}
}

// standIn is for what is not the caller's: a name, but for what may be more.
func standIn(name string) string {
	if name == "{http.request.scheme}" {
		return "https"
	}
	if strings.HasPrefix(name, "{env.") || strings.HasPrefix(name, "{file.") || strings.HasPrefix(name, "{http.reverse_proxy.") {
		return "\x00" // a whole URL, as far as is known
	}
	return "x"
}

func secretTold(l *linter) {
	for _, s := range l.said {
		for _, text := range toldBy(s.by) {
			for _, name := range private(strings.Join(s.rule.spell(text), "\n")) {
				l.found(s.rule.API, placeOf(s.by), "the answer has %s in it", name)
			}
		}
	}
	l.runTemplates(func(r *Rule, body []action) {
		for _, a := range body {
			if reads.MatchString(a.calls()) || len(private(strings.Join(r.spell(a.looksAt()), " "))) > 0 {
				l.found(r.API, r.At, "the answer has %s in it", a.text)
			}
		}
	})
}

// toldBy are the texts that a handler has in an answer: but for where it sends callers to,
// which they are meant to know.
func toldBy(h Handler) (texts []string) {
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
	return texts
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
