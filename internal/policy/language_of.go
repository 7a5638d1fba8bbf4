package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// globExpression is the regular expression of those patterns of a path matcher that one can
// be made of; empty: of none.
func globExpression(patterns []string) string {
	var all []string
	for _, p := range patterns {
		if !strings.Contains(p, "%") && !strings.Contains(p, "//") {
			all = append(all, globOf(p))
		}
	}
	if all == nil {
		return ""
	}
	return `(?is)` + strings.Join(all, "|")
}

// isOfEmptySegments says whether a pattern is for paths of which no condition is made, and
// for more than one.
func isOfEmptySegments(p string) bool {
	return strings.Contains(p, "//") && strings.ContainsAny(p, `*?[\`)
}

func globOf(p string) string {
	inner := strings.Trim(p, "*")
	switch stars := strings.Count(p, "*"); {
	case p == "*":
		return ""
	case strings.ContainsAny(inner, `*?[\`), stars > 2, stars == 2 && (p[0] != '*' || p[len(p)-1] != '*'):
		return "^" + segmentsExpression(p) + "$"
	case stars == 2:
		return regexp.QuoteMeta(inner)
	case stars == 1 && p[0] == '*':
		return regexp.QuoteMeta(inner) + "$"
	case stars == 1:
		return "^" + regexp.QuoteMeta(inner)
	default:
		return "^" + regexp.QuoteMeta(p) + "$"
	}
}

// segmentsExpression is a pattern of path.Match.
func segmentsExpression(p string) string {
	var b strings.Builder
	for p != "" {
		c, letter := p[0], p[:1]
		switch p = p[1:]; {
		case c == '*':
			b.WriteString("[^/]*")
		case c == '?':
			b.WriteString("[^/]")
		case c == '[':
			var class string
			class, p = classExpression(p)
			b.WriteString(class)
		case c == '\\' && p != "":
			b.WriteString(regexp.QuoteMeta(p[:1]))
			p = p[1:]
		default:
			b.WriteString(regexp.QuoteMeta(letter))
		}
	}
	return b.String()
}

// never is the expression of no letter.
const never = `[^\x00-\x{10FFFF}]`

// classExpression is a class of path.Match, whose bracket is open; never is one that is
// not written well, and with which nothing matches.
func classExpression(p string) (class, rest string) {
	p, negated := strings.CutPrefix(p, "^")
	letter := func() (r rune, ok bool) {
		p = strings.TrimPrefix(p, `\`)
		r, size := utf8.DecodeRuneInString(p)
		p = p[size:]
		return r, size > 0
	}
	for n := 0; n == 0 || !strings.HasPrefix(p, "]"); n++ {
		low, ok := letter()
		high := low
		if ok && strings.HasPrefix(p, "-") {
			p = p[1:]
			high, ok = letter()
		}
		if !ok || p == "" {
			return never, ""
		}
		if low <= high {
			class += fmt.Sprintf(`\x{%x}-\x{%x}`, low, high)
		}
	}
	switch p = p[1:]; {
	case class == "" && negated:
		return `(?s:.)`, p
	case class == "":
		return never, p
	case negated:
		return "[^" + class + "]", p
	default:
		return "[" + class + "]", p
	}
}

// valuesExpression is the regular expression of what a header matcher wants of a value.
func valuesExpression(patterns []string) string {
	var all []string
	for _, p := range patterns {
		starts, ends := strings.HasPrefix(p, "*"), strings.HasSuffix(p, "*")
		switch {
		case starts && ends:
			all = append(all, regexp.QuoteMeta(p[1:max(1, len(p)-1)]))
		case starts:
			all = append(all, regexp.QuoteMeta(p[1:])+"$")
		case ends:
			all = append(all, "^"+regexp.QuoteMeta(p[:len(p)-1]))
		default:
			all = append(all, "^"+regexp.QuoteMeta(p)+"$")
		}
	}
	return `(?s)` + strings.Join(all, "|")
}

// hostsExpression is the regular expression of the patterns of a host matcher.
func hostsExpression(patterns []string) string { return `(?i)^(?:` + hostLabels(patterns) + `)$` }

// sitesExpression is that for a Host as it is sent, with a port or in brackets.
func sitesExpression(patterns []string) string {
	return `(?i)^\[?(?:` + hostLabels(patterns) + `)\]?(?::[^:]*)?$`
}

func hostLabels(patterns []string) string {
	var all []string
	for _, p := range patterns {
		labels := strings.Split(p, ".")
		for n, label := range labels {
			if label == "*" {
				labels[n] = `[^.]+`
			} else {
				labels[n] = regexp.QuoteMeta(label)
			}
		}
		all = append(all, strings.Join(labels, `\.`))
	}
	return strings.Join(all, "|")
}

// behind gives how a request is seen after a rewrite.
func (h *Rewrite) behind(v view) []view {
	if h.Method != "" {
		v.lostMethod = hasPlaceholder(h.Method)
	}
	if !h.keepsQuery() {
		v.lostQuery = !h.writesQuery()
	}
	return h.pathBehind(v)
}

func (h *Rewrite) pathBehind(v view) []view {
	p, _, _ := strings.Cut(h.URI, "#")
	p, _, _ = strings.Cut(p, "?")
	p = strings.ReplaceAll(p, "{"+uriPlaceholder+"}", "{"+pathPlaceholder+"}")
	before, after, found := strings.Cut(p, "{"+pathPlaceholder+"}")
	if p != "" && !found && !hasPlaceholder(p) {
		v.cut, v.before, v.after, v.same, v.lost = "", "", "", true, false
	}
	if v.same { // a text that is known, unless the request has a part in what is done to it
		v.lost = v.lost || hasPlaceholder(before+after) || h.fillsPath()
		return []view{v}
	}
	if p != "" {
		v.lost = v.lost || hasPlaceholder(before+after) || strings.Contains(before+after, "%") || isCleaned(before) || isCleaned(after)
		if v.cut == "" || v.before != "" { // begins with a slash, and two are one
			before = strings.TrimSuffix(before, "/")
		}
		v.before, v.after = before+v.before, v.after+after
	}
	v.lost = v.lost || len(h.Substring)+len(h.PathRegexp) > 0 || hasPlaceholder(h.StripPrefix+h.StripSuffix)
	if h.StripSuffix != "" {
		rest, found := strings.CutSuffix(v.after, h.StripSuffix)
		v.after, v.lost = rest, v.lost || !found
	}
	return v.without(h.StripPrefix)
}

// fillsPath says whether what it takes from the path, or puts into it, is written with placeholders.
func (h *Rewrite) fillsPath() bool {
	text := h.StripPrefix + h.StripSuffix
	for _, r := range h.Substring {
		text += r.Find + r.With
	}
	for _, r := range h.PathRegexp {
		text += r.With
	}
	return hasPlaceholder(text)
}

// isCleaned says whether a text has segments that are not there any more when matchers look
// at it.
func isCleaned(text string) bool {
	return strings.Contains(text, "//") || slices.ContainsFunc(strings.Split(text, "/"), func(segment string) bool { return segment == "." || segment == ".." })
}

// without cuts a text off the beginning, of the paths that have it.
func (v view) without(prefix string) []view {
	if prefix == "" {
		return []view{v}
	}
	prefix = "/" + strings.TrimPrefix(prefix, "/")
	cut := v
	switch {
	case hasPrefixFold(v.before, prefix):
		cut.before = v.before[len(prefix):]
		return []view{cut}
	case hasPrefixFold(prefix, v.before):
		cut.cut, cut.before = v.cut+prefix[len(v.before):], ""
		return []view{v, cut}
	default:
		return []view{v}
	}
}

func hasPrefixFold(text, prefix string) bool {
	return len(text) >= len(prefix) && strings.EqualFold(text[:len(prefix)], prefix)
}

// maxViews bounds how many are followed.
const maxViews = 32

func uniqueViews(all ...[]view) []view {
	joined := unique(slices.Concat(all...))
	if len(joined) > maxViews {
		joined = joined[:maxViews]
		last := &joined[maxViews-1]
		last.lost, last.lostQuery, last.lostMethod = true, true, true
	}
	return joined
}
