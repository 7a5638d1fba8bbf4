package policy

import (
	"encoding/json"
	"net/url"
	"strings"
)

// Rewrite changes method and URL for what comes after it.
type Rewrite struct {
	At          string
	Method      string            `json:"method"`
	URI         string            `json:"uri"`
	StripPrefix string            `json:"strip_path_prefix"`
	StripSuffix string            `json:"strip_path_suffix"`
	Substring   []json.RawMessage `json:"uri_substring"`
	PathRegexp  []json.RawMessage `json:"path_regexp"`
	Query       json.RawMessage   `json:"query"`

	opaque       string // why the URL is not analysed; empty: it is
	opaqueMethod bool
}

func (p *parser) rewrite(at string, raw json.RawMessage) Handler {
	h := &Rewrite{At: at}
	p.fail(at, json.Unmarshal(raw, h))
	withoutPath := strings.ReplaceAll(strings.ReplaceAll(h.URI, pathPlaceholder, ""), "?"+queryPlaceholder, "")
	h.opaqueMethod = hasPlaceholder(h.Method)
	switch {
	case hasPlaceholder(withoutPath + h.StripPrefix + h.StripSuffix):
		h.opaque = "placeholders"
	case len(h.Substring)+len(h.PathRegexp) > 0 || len(h.Query) > 0:
		h.opaque = "replacements"
	case strings.ContainsAny(h.StripPrefix+h.StripSuffix+withoutPath, "%#"), strings.Contains(h.StripPrefix+h.StripSuffix, "//"):
		h.opaque = "escapes"
	}
	return h
}

const (
	pathPlaceholder  = "{http.request.uri.path}"
	queryPlaceholder = "{http.request.uri.query}"
)

func (h *Rewrite) String() string {
	var parts []string
	for _, part := range [][2]string{{"method", h.Method}, {"rewrite", h.URI}, {"strip_prefix", h.StripPrefix}, {"strip_suffix", h.StripSuffix}} {
		if part[1] != "" {
			parts = append(parts, part[0]+" "+part[1])
		}
	}
	if h.opaque != "" {
		parts = append(parts, "("+h.opaque+" not analysed)")
	} else if h.opaqueMethod {
		parts = append(parts, "(placeholders not analysed)")
	}
	return strings.Join(parts, " ")
}

func (h *Rewrite) serve(w *walk, next next) end {
	switch {
	case h.opaqueMethod:
		w.lostMethod = "rewrite of the method by placeholders"
		w.open(w.lostMethod)
	case h.Method != "":
		w.method, w.lostMethod = strings.ToUpper(h.Method), ""
	}
	if h.opaque != "" {
		w.lose("rewrite by " + h.opaque)
		return next()
	}
	w.meet(h.At, h)
	if h.URI != "" {
		h.replace(w)
	}
	if prefix := h.StripPrefix; prefix != "" {
		if !strings.HasPrefix(prefix, "/") {
			prefix = "/" + prefix
		}
		h.strip(w, func(p string) string { return trimFold(p, prefix, false) })
	}
	if h.StripSuffix != "" {
		h.strip(w, func(p string) string { return trimFold(p, h.StripSuffix, true) })
	}
	w.target = w.url.RequestURI()
	return next()
}

func (h *Rewrite) replace(w *walk) {
	p, query, hasQuery := strings.Cut(h.URI, "?")
	if p != "" {
		p = strings.ReplaceAll(p, pathPlaceholder, w.url.EscapedPath())
		if unescaped, err := url.PathUnescape(p); err == nil {
			p = unescaped
		}
		w.setPath(p, "")
	}
	if hasQuery && query != queryPlaceholder {
		w.url.RawQuery, w.queryChanged = query, true
	}
}

// strip changes the path as Caddy does. A path with escapes is cut in its escaped form.
func (h *Rewrite) strip(w *walk, trim func(string) string) {
	before := cleanPath(w.url.EscapedPath())
	after := trim(before)
	p, err := url.PathUnescape(after)
	if err != nil || p == "" {
		p = trim(cleanPath(w.url.Path))
	}
	raw := after
	if after != before {
		if !strings.HasPrefix(p, "/") {
			p = "/" + p
		}
		cleaned := cleanKeepingSlashes((&url.URL{Path: p}).EscapedPath())
		p, _ = url.PathUnescape(cleaned) // of its own making
		if raw != "" && !strings.HasPrefix(raw, "/") {
			raw = "/" + raw
		}
		if decoded, err := url.PathUnescape(raw); err != nil || decoded != p {
			raw = ""
		}
	}
	if raw == (&url.URL{Path: p}).EscapedPath() {
		raw = ""
	}
	w.setPath(p, raw)
}

// trimFold takes a beginning or an end away, in any case of letters and escaped or not.
func trimFold(escaped, cut string, end bool) string {
	if !strings.Contains(escaped, "%") {
		switch {
		case len(escaped) < len(cut):
			return escaped
		case !end && strings.EqualFold(escaped[:len(cut)], cut):
			return escaped[len(cut):]
		case end && strings.EqualFold(escaped[len(escaped)-len(cut):], cut):
			return escaped[:len(escaped)-len(cut)]
		}
		return escaped
	}
	units := escapedUnits(escaped)
	if len(units) < len(cut) {
		return escaped
	}
	kept, compared := units[len(cut):], units[:len(cut)]
	if end {
		kept, compared = units[:len(units)-len(cut)], units[len(units)-len(cut):]
	}
	for n, unit := range compared {
		if c, err := url.PathUnescape(unit); err != nil || !strings.EqualFold(c, string(cut[n])) {
			return escaped
		}
	}
	return strings.Join(kept, "")
}

func escapedUnits(s string) []string {
	var units []string
	for s != "" {
		n := 1
		if s[0] == '%' && len(s) >= 3 {
			n = 3
		}
		units, s = append(units, s[:n]), s[n:]
	}
	return units
}
