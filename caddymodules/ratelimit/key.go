package ratelimit

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// template is a key with its placeholders, taken apart once.
type template []part

// part is literal text, or the name of a placeholder.
type part struct{ literal, placeholder string }

// parseTemplate takes a key apart. A backslash before a brace makes it literal, as
// everywhere in Caddy.
func parseTemplate(key string) (template, error) {
	var t template
	var literal strings.Builder
	for i := 0; i < len(key); i++ {
		switch {
		case key[i] == '\\' && i+1 < len(key) && (key[i+1] == '{' || key[i+1] == '}'):
			i++
			literal.WriteByte(key[i])
		case key[i] == '{':
			name, _, closed := strings.Cut(key[i+1:], "}")
			if !closed || name == "" || strings.ContainsAny(name, "{ ") {
				return nil, errors.New("a placeholder is not closed, or has no name")
			}
			t = append(t, part{literal: literal.String()}, part{placeholder: name})
			literal.Reset()
			i += len(name) + 1
		default:
			literal.WriteByte(key[i])
		}
	}
	return append(t, part{literal: literal.String()}).compact(), nil
}

// compact drops empty parts and joins literals.
func (t template) compact() template {
	var short template
	for _, p := range t {
		last := len(short) - 1
		switch {
		case p == part{}:
		case last >= 0 && p.placeholder == "" && short[last].placeholder == "":
			short[last].literal += p.literal
		default:
			short = append(short, p)
		}
	}
	return short
}

// resolve replaces the placeholders that are the same for every request.
func (t template) resolve(repl *caddy.Replacer) (template, error) {
	resolved := make(template, 0, len(t))
	for _, p := range t {
		if isStatic(p.placeholder) {
			value, _ := repl.GetString(p.placeholder)
			if value == "" {
				return nil, fmt.Errorf("{%s} is empty", p.placeholder)
			}
			p = part{literal: value}
		}
		resolved = append(resolved, p)
	}
	return resolved.compact(), nil
}

func isStatic(placeholder string) bool {
	return strings.HasPrefix(placeholder, "env.") ||
		strings.HasPrefix(placeholder, "file.") ||
		strings.HasPrefix(placeholder, "system.")
}

// fill gives the key of a request, and whether every placeholder had a value. Where
// there are several, each value comes with its length, so that no choice of values
// can make one caller's key out of another's. An address stands for its network.
func (t template) fill(repl *caddy.Replacer, n networks) (key string, full bool) {
	if len(t) == 1 {
		return t[0].value(repl, n)
	}
	several := t.placeholders() > 1
	full = true
	var b strings.Builder
	for _, p := range t {
		value, ok := p.value(repl, n)
		full = full && ok
		if several && p.placeholder != "" {
			b.WriteString(strconv.Itoa(len(value)))
			b.WriteByte(':')
		}
		b.WriteString(value)
	}
	return b.String(), full
}

// text gives the template's text as it is, without lengths and networks.
func (t template) text(repl *caddy.Replacer) (text string, full bool) {
	if len(t) == 1 {
		return t[0].value(repl, networks{v4: wholeIPv4, v6: wholeIPv6})
	}
	full = true
	var b strings.Builder
	for _, p := range t {
		value, ok := p.value(repl, networks{v4: wholeIPv4, v6: wholeIPv6})
		full = full && ok
		b.WriteString(value)
	}
	return b.String(), full
}

// with gives the key that fill gives for these values of its placeholders, in order.
func (t template) with(values []string, n networks) (string, error) {
	if want := t.placeholders(); len(values) != want {
		return "", fmt.Errorf("%d values: the key has %d placeholders", len(values), want)
	}
	repl := caddy.NewEmptyReplacer()
	named := make(template, 0, len(t))
	for _, p := range t {
		if p.placeholder != "" {
			name := "value." + strconv.Itoa(len(values))
			if p.isName() {
				name = "http.auth." + name
			}
			repl.Set(name, values[0])
			p.placeholder, values = name, values[1:]
		}
		named = append(named, p)
	}
	key, _ := named.fill(repl, n)
	return key, nil
}

func (t template) placeholders() (n int) {
	for _, p := range t {
		if p.placeholder != "" {
			n++
		}
	}
	return n
}

func (p part) value(repl *caddy.Replacer, n networks) (value string, ok bool) {
	if p.placeholder == "" {
		return p.literal, true
	}
	value, _ = repl.GetString(p.placeholder)
	if !p.isName() {
		value = n.of(value)
	}
	return value, value != ""
}

// isName says whether the value names somebody, whatever it looks like.
func (p part) isName() bool { return strings.HasPrefix(p.placeholder, "http.auth.") }
