package policy

import (
	"net/url"
	"strings"
)

// changePath changes a path in its escaped form, and what it stands for.
func changePath(u *url.URL, change func(string) string) {
	raw := change(u.EscapedPath())
	p, err := url.PathUnescape(raw)
	if err != nil || p == "" {
		p = change(u.Path)
	}
	u.Path, u.RawPath = p, raw
	if raw == escapedPath(p) {
		u.RawPath = ""
	}
}

func escapedPath(p string) string { return (&url.URL{Path: p}).EscapedPath() }

// cleanerFor gives how a path is cleaned before a text is looked for in it.
func cleanerFor(text string) func(string) string {
	if strings.Contains(text, "//") {
		return cleanKeepingSlashes
	}
	return cleanPath
}

// strip takes a beginning or an end away, as Caddy does: what is left begins with a slash
// and has no dot segments.
func strip(u *url.URL, cut string, end bool) {
	clean, stripped := cleanerFor(cut), false
	changePath(u, func(p string) string {
		p = clean(p)
		trimmed := trimFold(p, cut, end)
		stripped = stripped || trimmed != p
		return trimmed
	})
	if !stripped {
		return
	}
	p := u.Path
	if !strings.HasPrefix(p, "/") {
		p = "/" + p
	}
	p, _ = url.PathUnescape(cleanKeepingSlashes(escapedPath(p))) // of its own making
	raw := u.RawPath
	if raw != "" && !strings.HasPrefix(raw, "/") {
		raw = "/" + raw
	}
	if decoded, err := url.PathUnescape(raw); err != nil || decoded != p || raw == escapedPath(p) {
		raw = ""
	}
	u.Path, u.RawPath = p, raw
}

// trimFold takes a beginning or an end away, in any case of letters. What the path has
// escaped is compared as what it stands for, unless the text has it escaped as well.
func trimFold(path, cut string, end bool) string {
	if !strings.Contains(path, "%") && !strings.Contains(cut, "%") {
		switch {
		case len(path) < len(cut):
			return path
		case !end && strings.EqualFold(path[:len(cut)], cut):
			return path[len(cut):]
		case end && strings.EqualFold(path[len(path)-len(cut):], cut):
			return path[:len(path)-len(cut)]
		}
		return path
	}
	units, wanted := escapedUnits(path), escapedUnits(cut)
	if len(units) < len(wanted) {
		return path
	}
	kept, compared := units[len(wanted):], units[:len(wanted)]
	if end {
		kept, compared = units[:len(units)-len(wanted)], units[len(units)-len(wanted):]
	}
	for n, unit := range compared {
		if !sameUnit(unit, wanted[n]) {
			return path
		}
	}
	return strings.Join(kept, "")
}

func sameUnit(unit, wanted string) bool {
	if len(wanted) == 1 {
		decoded, err := url.PathUnescape(unit)
		return err == nil && strings.EqualFold(decoded, string(rune(wanted[0])))
	}
	return strings.EqualFold(unit, wanted)
}

// escapedUnits are bytes, written as they are or escaped.
func escapedUnits(s string) []string {
	var units []string
	for s != "" {
		n := 1
		if s[0] == '%' && len(s) >= 3 {
			if _, err := url.PathUnescape(s[:3]); err == nil {
				n = 3
			}
		}
		units, s = append(units, s[:n]), s[n:]
	}
	return units
}
