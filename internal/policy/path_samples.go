package policy

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// maxPath bounds the samples of paths. Longer ones would fit into a request, and into the
// memory for thousands of them not.
const maxPath = 64 << 10

// sendable begins with a slash, and has escapes in place of what a request line cannot have in a path: a blank would
// end it, and a question mark begin the query.
func sendable(path string) string {
	var b strings.Builder
	if !strings.HasPrefix(path, "/") {
		b.WriteByte('/')
	}
	for n := range len(path) {
		if c := path[n]; c <= ' ' || c == 0x7f || c == '?' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// glob is a path that a pattern is for in the way of path.Match, which has classes and
// escapes; star is what * stands for.
func glob(pattern, star string) string {
	var b strings.Builder
	for pattern != "" {
		c := pattern[0]
		pattern = pattern[1:]
		switch {
		case c == '*':
			b.WriteString(star)
		case c == '?':
			b.WriteByte('z')
		case c == '\\' && pattern != "":
			b.WriteByte(pattern[0])
			pattern = pattern[1:]
		case c == '[':
			var of string
			of, pattern = oneOf(pattern)
			b.WriteString(of)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// oneOf gives a letter of the class that a pattern begins with, behind its bracket, and
// what comes after the class.
func oneOf(pattern string) (of string, rest string) {
	end := 0
	for n := 0; end < len(pattern) && (n == 0 || pattern[end] != ']'); n++ {
		if pattern[end] == '\\' {
			end++
		}
		end++
	}
	end = min(end, len(pattern))
	class := pattern[:end]
	for _, letter := range strings.TrimPrefix(class, "^") + "zq7-_ay0.~" {
		if is, err := path.Match("["+class+"]", string(letter)); err == nil && is {
			return string(letter), strings.TrimPrefix(pattern[end:], "]")
		}
	}
	return "", strings.TrimPrefix(pattern[end:], "]")
}

// sampled says whether one of the paths is for the pattern, as far as requests can have it.
func sampled(pattern string, paths []string) bool {
	if strings.Contains(pattern, "%") || pattern == "" || !strings.Contains(`/*?[\`, pattern[:1]) {
		return true // it goes both ways, or is for no path at all
	}
	return slices.ContainsFunc(paths, func(p string) bool {
		u, err := parseTarget(sendable(p))
		return err == nil && len(p) <= maxPath && pathMatches(pattern, newLowered(u.Path))
	})
}
