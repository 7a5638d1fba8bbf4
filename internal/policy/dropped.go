package policy

import "strings"

// drops says whether Caddy takes a header field of a request away before any route sees it:
// one with an underscore or a dot, which some services take for one with a hyphen, unless the
// server expects it; and then the one with a hyphen.
func (s *Server) drops(name string) bool {
	underscore, dot := strings.Contains(name, "_"), strings.Contains(name, ".")
	switch {
	case underscore && dot:
		return !s.expects("expected_underscore_headers", name, exactly) && !s.expects("expected_dot_headers", name, exactly)
	case underscore:
		return !s.expects("expected_underscore_headers", name, asPattern)
	case dot:
		return !s.expects("expected_dot_headers", name, asPattern)
	default:
		return s.expects("expected_underscore_headers", name, asHyphens("_")) || s.expects("expected_dot_headers", name, asHyphens("."))
	}
}

// expects says whether one of a server's patterns is for the field, which is spelled as Go
// spells it.
func (s *Server) expects(setting, name string, matches func(pattern, name string) bool) bool {
	list, _ := s.settings[setting].([]any)
	for _, element := range list {
		if pattern, ok := element.(string); ok && matches(pattern, name) {
			return true
		}
	}
	return false
}

func exactly(pattern, name string) bool { return canonicalField(pattern) == name }

func asPattern(pattern, name string) bool {
	head, star := strings.CutSuffix(pattern, "*")
	return star && strings.HasPrefix(name, canonicalField(head)) || !star && exactly(pattern, name)
}

func asHyphens(separator string) func(pattern, name string) bool {
	return func(pattern, name string) bool {
		return asPattern(strings.ReplaceAll(pattern, separator, "-"), name)
	}
}
