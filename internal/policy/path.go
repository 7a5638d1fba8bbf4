package policy

import (
	"encoding/json"
	"path"
	"regexp"
	"slices"
	"strings"
)

// pathMatcher is Caddy's: it ignores case, works on the cleaned path, and * stands for
// anything at either end, for all but slashes within.
type pathMatcher struct {
	patterns []string // as written, in lower case
	plain    []plainPattern
	escapes  bool // one of them has a %, and is not analysed
}

// plainPattern is a pattern that a comparison alone decides.
type plainPattern struct {
	text   string
	prefix bool
	not    bool // it is not of that kind
}

func newPlainPattern(p string) plainPattern {
	head, star := strings.CutSuffix(p, "*")
	return plainPattern{text: head, prefix: star, not: head == "" || strings.ContainsAny(head, `*?[\%`) || strings.Contains(head, "//")}
}

// newPathMatcher reads patterns as Caddy does: of several, one that is * is looked at first.
func newPathMatcher(patterns []string) pathMatcher {
	m := pathMatcher{patterns: slices.Clone(patterns)}
	for n := range m.patterns {
		m.patterns[n] = strings.ToLower(m.patterns[n])
		m.plain = append(m.plain, newPlainPattern(m.patterns[n]))
		m.escapes = m.escapes || strings.Contains(m.patterns[n], "%")
	}
	return m
}

func (m pathMatcher) String() string { return "path " + strings.Join(m.patterns, " ") }

func (m pathMatcher) matches(w *walk) bool {
	if w.lost != "" {
		return w.unknown(m.String() + " after " + w.lost)
	}
	p := &w.path
	for n := range m.plain {
		if plain := &m.plain[n]; !plain.not {
			if plain.prefix && strings.HasPrefix(p.merged, plain.text) || p.merged == plain.text && !plain.prefix {
				return true
			}
			continue
		}
		if pattern := m.patterns[n]; strings.Contains(pattern, "%") {
			if w.unknown("matcher path " + pattern + ", which compares escapes") {
				return true
			}
		} else if pathMatches(pattern, *p) {
			return true
		}
	}
	return false
}

// lowered is a path in the forms that patterns look at.
type lowered struct {
	clean  string // as is, but cleaned: for path_regexp
	merged string // in lower case, cleaned
	raw    string // in lower case
}

func newLowered(p string) lowered {
	l := lowered{clean: cleanPath(p), raw: strings.ToLower(p)}
	l.merged = cleanPath(l.raw)
	return l
}

func pathMatches(pattern string, p lowered) bool {
	if pattern == "*" {
		return true
	}
	subject := p.merged
	if strings.Contains(pattern, "//") {
		subject = cleanKeepingSlashes(p.raw)
	}
	stars := strings.Count(pattern, "*")
	first, last := strings.HasPrefix(pattern, "*"), strings.HasSuffix(pattern, "*")
	switch {
	case stars == 0 && !strings.ContainsAny(pattern, `?[\`):
		return subject == pattern
	case stars == 2 && first && last:
		return strings.Contains(subject, pattern[1:len(pattern)-1])
	case stars == 1 && first:
		return strings.HasSuffix(subject, pattern[1:])
	case stars == 1 && last:
		return strings.HasPrefix(subject, pattern[:len(pattern)-1])
	default:
		matches, _ := path.Match(pattern, subject) // a bad pattern matches nothing
		return matches
	}
}

// cleanPath removes dot segments and double slashes; a slash at the end stays.
func cleanPath(p string) string {
	cleaned := path.Clean(p)
	if cleaned != "/" && strings.HasSuffix(p, "/") {
		cleaned += "/"
	}
	return cleaned
}

// cleanKeepingSlashes keeps empty segments: 0xff stands between their slashes meanwhile.
func cleanKeepingSlashes(p string) string {
	var b strings.Builder
	for i, c := range p {
		if c == '/' && i > 0 && p[i-1] == '/' {
			b.WriteByte(0xff)
		}
		b.WriteRune(c)
	}
	return strings.ReplaceAll(cleanPath(b.String()), "\xff", "")
}

// pathRegexp matches letter by letter.
type pathRegexp struct {
	name     string
	pattern  string
	compiled *regexp.Regexp
	prefix   string // what every match begins with, when it is anchored
}

func newPathRegexp(raw json.RawMessage) (Matcher, error) {
	var options struct {
		Name    string `json:"name"`
		Pattern string `json:"pattern"`
	}
	if err := json.Unmarshal(raw, &options); err != nil {
		return nil, err
	}
	compiled, err := regexp.Compile(options.Pattern)
	if err != nil {
		return nil, err
	}
	m := pathRegexp{name: options.Name, pattern: options.Pattern, compiled: compiled}
	if rest, anchored := strings.CutPrefix(options.Pattern, "^"); anchored && !strings.Contains(rest, "|") {
		if literal, err := regexp.Compile(rest); err == nil {
			m.prefix, _ = literal.LiteralPrefix()
		}
	}
	return m, nil
}

func (m pathRegexp) String() string { return "path_regexp " + m.pattern }

func (m pathRegexp) matches(w *walk) bool {
	if w.lost != "" {
		return w.unknown(m.String() + " after " + w.lost)
	}
	p := w.currentPath().clean
	if !strings.HasPrefix(p, m.prefix) || !m.compiled.MatchString(p) {
		return false
	}
	w.captured = append(w.captured, captured{m.compiled, m.name, p})
	return true
}
