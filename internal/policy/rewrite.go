package policy

import (
	"cmp"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Rewrite changes method and URL for what comes after it.
type Rewrite struct {
	At          string
	Method      string         `json:"method"`
	URI         string         `json:"uri"`
	StripPrefix string         `json:"strip_path_prefix"`
	StripSuffix string         `json:"strip_path_suffix"`
	Substring   []substring    `json:"uri_substring"`
	PathRegexp  []pathReplacer `json:"path_regexp"`
	Query       *queryChanges  `json:"query"`

	text string // as it is written
}

type substring struct {
	Find  string `json:"find"`
	With  string `json:"replace"`
	Limit int    `json:"limit"`
}

type pathReplacer struct {
	Find string `json:"find"`
	With string `json:"replace"`

	compiled *regexp.Regexp
}

func (p *parser) rewrite(at string, raw json.RawMessage) *Rewrite {
	h := &Rewrite{At: at}
	p.fail(at, json.Unmarshal(raw, h))
	for n := range h.PathRegexp {
		var err error
		h.PathRegexp[n].compiled, err = regexp.Compile(h.PathRegexp[n].Find)
		p.fail(at, err)
	}
	if h.Query != nil {
		p.fail(at, h.Query.compile())
	}
	members := canonicalMembers(raw)
	delete(members, "handler")
	h.text = compact(members)
	return h
}

const (
	uriPlaceholder   = "http.request.uri"
	pathPlaceholder  = "http.request.uri.path"
	queryPlaceholder = "http.request.uri.query"
)

func (h *Rewrite) String() string {
	var parts []string
	add := func(name string, values ...string) {
		if text := strings.Join(values, " "); strings.TrimSpace(text) != "" {
			parts = append(parts, name+" "+text)
		}
	}
	add("method", h.Method)
	add("rewrite", h.URI)
	add("strip_prefix", h.StripPrefix)
	add("strip_suffix", h.StripSuffix)
	for _, r := range h.Substring {
		add("replace", r.Find, r.With)
	}
	for _, r := range h.PathRegexp {
		add("path_regexp", r.Find, r.With)
	}
	if h.Query != nil {
		add("query", compact(h.Query))
	}
	return strings.Join(parts, " ")
}

// gather has paths and queries that it makes others of, and one that it does not.
func (h *Rewrite) gather(a *atoms) {
	if h.StripPrefix != "" {
		a.patterns = append(a.patterns, strings.ToLower("/"+strings.TrimPrefix(h.StripPrefix, "/")+"*"))
	}
	if h.StripSuffix != "" {
		a.patterns = append(a.patterns, strings.ToLower("*"+h.StripSuffix))
	}
	for _, r := range h.Substring {
		a.patterns = append(a.patterns, strings.ToLower("*"+r.Find+"*"))
		a.parameters = append(a.parameters, url.PathEscape(r.Find)+"="+stranger)
	}
	for _, r := range h.PathRegexp {
		a.regexps = append(a.regexps, r.Find)
	}
	if !h.keepsQuery() {
		a.parameters = append(a.parameters, stranger+"=1")
	}
	if h.Query != nil {
		a.parameters = append(a.parameters, h.Query.samples()...)
	}
	for _, name := range placeholder.FindAllString(h.text, -1) {
		a.gatherValues(strings.Trim(name, "{}"))
	}
}

// asksQuery says whether the new query has something to do with the one that was there.
func (h *Rewrite) asksQuery() bool {
	uri := strings.ReplaceAll(h.URI, "{"+pathPlaceholder+"}", "")
	return strings.Contains(uri, "?") || hasPlaceholder(uri) || len(h.Substring) > 0 || h.Query != nil
}

// keepsQuery says whether matchers see the query as it was: a new URI says nothing of it, or
// repeats it.
func (h *Rewrite) keepsQuery() bool {
	p, query, _ := strings.Cut(h.URI, "?")
	p = strings.ReplaceAll(p, "{"+pathPlaceholder+"}", "")
	bare := strings.TrimSuffix(p, "{"+uriPlaceholder+"}")
	repeated := query == "{"+queryPlaceholder+"}" && bare == p || query == "" && (bare != p || !strings.Contains(h.URI, "?"))
	return repeated && !hasPlaceholder(bare) && !strings.Contains(h.URI, "#") && len(h.Substring) == 0 && h.Query == nil
}

// writesQuery says whether nothing of a request comes into the query that it makes.
func (h *Rewrite) writesQuery() bool {
	uri, _, _ := strings.Cut(h.URI, "#")
	p, query, found := strings.Cut(uri, "?")
	p = strings.ReplaceAll(p, "{"+pathPlaceholder+"}", "")
	return found && !hasPlaceholder(query) && (query != "" || !hasPlaceholder(p)) && len(h.Substring) == 0 && h.Query == nil
}

func (h *Rewrite) serve(w *walk, next next) end {
	w.meet(h.At, h)
	h.apply(w)
	return next()
}

// apply changes method and URL, or what is known of them.
func (h *Rewrite) apply(w *walk) {
	if h.Method != "" {
		w.currentMethod() // asked, for the sake of those that it changes
		w.staleMethod = w.staleMethod || w.copied
		method, sure := w.know(h.Method)
		w.method, w.methodSet, w.lostMethod = strings.ToUpper(method), true, ""
		if !sure {
			w.method, w.lostMethod = w.fill(h.Method), "a rewrite of the method by what is not known"
		}
	}
	if !h.changesURL() {
		return
	}
	w.rewrote = append(slices.Clip(w.rewrote), h.text)
	c := urlChange{walk: w, url: *w.url, queried: w.queryChanged, sure: w.lost == "", sureQuery: true, keeps: w.req.open != nil && h.keepsQuery()}
	if c.sure {
		h.change(&c)
	}
	const why = "a rewrite by what is not known"
	if c.sure {
		w.setPath(c.url.Path, c.url.RawPath)
	} else {
		w.lost = cmp.Or(w.lost, why)
	}
	if c.sure && c.sureQuery {
		w.url.RawQuery, w.queryChanged = c.url.RawQuery, c.queried
	} else {
		w.lostQuery = why
		w.rewrites = append(slices.Clip(w.rewrites), w.fillIn(h.text))
	}
	w.target = w.url.RequestURI()
}

func (h *Rewrite) changesURL() bool {
	return h.URI != "" || h.StripPrefix != "" || h.StripSuffix != "" || len(h.Substring)+len(h.PathRegexp) > 0 || h.Query != nil
}

// urlChange is what a rewrite makes of the URL, and whether all that it depends on is known.
type urlChange struct {
	walk            *walk
	url             url.URL
	queried         bool // the query may be another
	sure, sureQuery bool
	keeps           bool // the query is none of its affairs: matchers go on deciding it
}

func (c *urlChange) know(text string) string { return c.walk.knowAll(text, &c.sure) }

func (c *urlChange) knowQuery(text string) string { return c.walk.knowAll(text, &c.sureQuery) }

// change does what Caddy does, in its order.
func (h *Rewrite) change(c *urlChange) {
	// Placeholders are all of the URL as it was.
	uri := h.newURI(c)
	prefix, suffix := c.know(h.StripPrefix), c.know(h.StripSuffix)
	if h.asksQuery() && !c.keeps {
		c.url.RawQuery, c.queried = c.walk.query(), true
		c.sureQuery = c.sureQuery && (c.walk.lostQuery == "" || uri.hasQuery)
	}
	uri.put(&c.url)
	if prefix != "" {
		if !strings.HasPrefix(prefix, "/") {
			prefix = "/" + prefix
		}
		strip(&c.url, prefix, false)
	}
	if suffix != "" {
		strip(&c.url, suffix, true)
	}
	for _, r := range h.Substring {
		r.change(&c.url, c.know)
	}
	for _, r := range h.PathRegexp {
		with := c.know(r.With)
		changePath(&c.url, func(p string) string { return r.compiled.ReplaceAllString(p, with) })
	}
	if h.Query != nil {
		h.Query.change(&c.url, c.knowQuery)
	}
}

// newURI is what the member uri makes: a path, a query, or both.
type newURI struct {
	path, query       string
	hasPath, hasQuery bool
}

var escapedBraces = strings.NewReplacer("{", "%7B", "}", "%7D")

func (h *Rewrite) newURI(c *urlChange) (n newURI) {
	w := c.walk
	text, _, _ := strings.Cut(h.URI, "#")
	p, query, hasQuery := strings.Cut(text, "?")
	n.hasPath, n.hasQuery = p != "", hasQuery
	n.path = plain(replacePlaceholders(p, func(name string) (string, bool) {
		if name == pathPlaceholder || name == uriPlaceholder && c.keeps {
			return w.url.EscapedPath(), w.lost == ""
		}
		return w.sure(name, &c.sure)
	}))
	n.path, _, _ = strings.Cut(n.path, "#")
	if c.keeps {
		n.hasQuery = false
		return n
	}
	if before, after, found := strings.Cut(n.path, "?"); found { // a value has brought a query
		n.path = before
		if query == "" {
			n.hasQuery, query = true, escapedBraces.Replace(after)
		}
	}
	n.query = w.newQuery(query, &c.sureQuery)
	return n
}

// newQuery fills in the names and values of a query, each escaped.
func (w *walk) newQuery(text string, sure *bool) string {
	var b strings.Builder
	isName := true
	for text != "" {
		stops := "&"
		if isName {
			stops = "=&"
		}
		item, delimiter := text, byte(0)
		if n := strings.IndexAny(text, stops); n >= 0 {
			item, delimiter, text = text[:n], text[n], text[n+1:]
		} else {
			text = ""
		}
		item = plain(replacePlaceholders(item, func(name string) (string, bool) {
			value, known := w.sure(name, sure)
			switch {
			case name == queryPlaceholder && isName:
				return value, known // is escaped
			case known && w.isNil(name):
				value = "<nil>" // as Caddy prints it
			}
			return url.QueryEscape(value), known
		}))
		switch {
		case !isName:
			b.WriteByte('=')
		case b.Len() > 0 && item != "":
			b.WriteByte('&')
		}
		b.WriteString(item)
		isName = delimiter == '&'
	}
	return b.String()
}

func (n newURI) put(u *url.URL) {
	if n.hasPath {
		u.Path, u.RawPath = n.path, ""
		if unescaped, err := url.PathUnescape(n.path); err == nil {
			u.Path = unescaped
		}
	}
	if n.hasQuery {
		u.RawQuery = n.query
	}
}

// change replaces a text in path and query.
func (s *substring) change(u *url.URL, know func(string) string) {
	if s.Find == "" {
		return
	}
	find, with, limit := know(s.Find), know(s.With), s.Limit
	if limit == 0 {
		limit = -1
	}
	clean := cleanerFor(s.Find)
	changePath(u, func(p string) string { return strings.Replace(clean(p), find, with, limit) })
	u.RawQuery = strings.Replace(u.RawQuery, find, with, limit)
}
