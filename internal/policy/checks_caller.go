package policy

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
)

// source is who makes up the value of a placeholder, the less known the higher.
type source int

const (
	ofEdge   source = iota // the issuer, the connection, the edge itself; or there are few
	ofChance               // another one each time, and nobody's words
	ofHost                 // the caller, in the Host: matchers say which there are
	ofPath                 // the caller, in the path: matchers have seen it
	ofCaller               // the caller, as he likes
	ofNobody               // nobody here knows
)

// whose are placeholders by whose their values are. What is not in it is the caller's for
// all that is known.
var whose = []struct {
	of    source
	names []string // one that ends in a dot stands for all that begin so
}{
	{ofChance, []string{"http.auth.token.jti"}}, // who asks for a token gets another one
	{ofEdge, []string{
		"http.auth.client.id", "http.auth.user.id", "http.auth.token.", "http.api.name", "http.vars.client_ip", "client_ip",
		"http.request.remote.host", "remote_host", "http.request.local.", "http.request.method", "http.request.scheme", "http.request.proto",
		"http.request.tls.version", "http.request.tls.cipher_suite", "http.error.status_code", "http.error.status_text",
		"http.reverse_proxy.", "http.intercept.", "env.", "file.", "system.",
	}},
	{ofChance, []string{"http.request.uuid", "http.request.remote", "http.request.remote.port", "http.error.id", "http.error.trace", "time."}},
	{ofHost, []string{"http.request.host", "http.request.host.", "http.request.hostport", "http.request.port"}},
	{ofPath, []string{pathPlaceholder, pathPlaceholder + ".", "http.request.orig_uri.path", "http.request.orig_uri.path."}},
	{ofCaller, []string{
		"http.request.uri", "http.request.uri.", "http.request.orig_uri", "http.request.orig_uri.", "http.request.header.", "http.request.cookie.",
		"http.request.body", "http.request.body_base64",
	}},
}

// aPart is behind the name of a placeholder where only some of its value is meant.
const aPart = " (a part)"

func sourceOf(name string) source {
	name = strings.TrimSuffix(name, aPart)
	for _, kind := range whose {
		if slices.ContainsFunc(kind.names, func(known string) bool {
			return name == known || strings.HasSuffix(known, ".") && strings.HasPrefix(name, known)
		}) {
			return kind.of
		}
	}
	return ofNobody
}

// sourceOf knows besides which certificates the server has verified.
func (s *Server) sourceOf(name string) source {
	if strings.HasPrefix(name, "http.request.tls.client.") && s.verifiesClients() {
		return ofEdge
	}
	return sourceOf(name)
}

// chooses says whether a caller of the server can make up the value of a placeholder, or
// have another one for each request.
func (s *Server) chooses(name string) bool { return s.sourceOf(name) > ofEdge }

// madeUp says whether a part of a text may come from there, or from who is known less:
// whatever has been made of it on the way.
func (r *Rule) madeUp(text string, from source) bool {
	return slices.ContainsFunc(r.spell(text), func(text string) bool { return r.has(text, from) })
}

// has is madeUp for a text that is spelled out.
func (r *Rule) has(text string, from source) bool {
	return slices.ContainsFunc(placeholder.FindAllString(text, -1), func(name string) bool { return r.of(name) >= from })
}

// of is whose a placeholder is, by what the rule says of hosts.
func (r *Rule) of(name string) source {
	of := r.server.sourceOf(strings.Trim(name, "{}"))
	if of == ofHost && len(r.Hosts) > 0 && !strings.Contains(strings.Join(r.Hosts, ""), "*") {
		return ofEdge
	}
	return of
}

// parts has each placeholder of a text stand for some of its value.
func parts(text string) string {
	return placeholder.ReplaceAllStringFunc(text, func(name string) string {
		return strings.TrimSuffix(strings.TrimSuffix(name, "}"), aPart) + aPart + "}"
	})
}

// groups have what an expression finds in the text of a placeholder, by what it is called.
func groups(by *regexp.Regexp, name, of string) map[string]string {
	all := make(map[string]string)
	tree, err := syntax.Parse(by.String(), syntax.Perl)
	if err != nil {
		return nil // was compiled before
	}
	for group, isWrittenOut := range capturesOf(tree, map[string]bool{"0": false}) {
		text := parts("{" + of + "}")
		if isWrittenOut {
			text = "x" // one of those
		}
		all[capturePrefix+group] = text
		if name != "" {
			all[capturePrefix+name+"."+group] = text
		}
	}
	return all
}

// capturesOf notes of each group, by number and name, whether what it finds is written out.
func capturesOf(tree *syntax.Regexp, all map[string]bool) map[string]bool {
	if tree.Op == syntax.OpCapture {
		all[strconv.Itoa(tree.Cap)] = isWrittenOut(tree.Sub[0])
		if tree.Name != "" {
			all[tree.Name] = all[strconv.Itoa(tree.Cap)]
		}
	}
	for _, sub := range tree.Sub {
		capturesOf(sub, all)
	}
	return all
}

// isWrittenOut says whether an expression is for a few texts alone.
func isWrittenOut(tree *syntax.Regexp) bool {
	const few = 16
	switch tree.Op {
	case syntax.OpStar, syntax.OpPlus, syntax.OpRepeat, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return false
	case syntax.OpCharClass:
		runes := 0
		for n := 0; n < len(tree.Rune); n += 2 {
			runes += int(tree.Rune[n+1]-tree.Rune[n]) + 1
		}
		return runes <= few
	default:
		return !slices.ContainsFunc(tree.Sub, func(sub *syntax.Regexp) bool { return !isWrittenOut(sub) })
	}
}
