// Package identity knows the header fields in which a backend may look for what only
// the edge can know: who the caller is, how it was authenticated, and which method or
// path was really meant. A caller's own such fields are never forwarded.
package identity

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// longest is more than the longest name in names.go, and the most that New takes.
const longest = 64

// A List says which fields a caller cannot send. Names are in lower case with hyphens,
// which is how a name is folded before it is looked up.
type List struct {
	exact    map[string]struct{}
	prefixes map[[start]byte][]string // by how they begin, for most names begin like none of them
}

// start is how many bytes of each prefix are looked up at once: no prefix has less.
const start = 4

// New gives the list of this package, and these names with it. A name that ends in *
// stands for all that begin so.
func New(more ...string) (*List, error) {
	l := &List{exact: maps.Clone(exact), prefixes: make(map[[start]byte][]string)}
	for _, prefix := range prefixes {
		l.addPrefix(prefix)
	}
	for _, name := range more {
		if err := l.add(name); err != nil {
			return nil, fmt.Errorf("%q: %w", name, err)
		}
	}
	return l, nil
}

var (
	errName   = errors.New("not the name of a header field: up to 64 letters, digits, '-', '_' and '.'")
	errPrefix = errors.New("at least four characters have to stand in front of a *")
)

func (l *List) add(name string) error {
	plain, isPrefix := strings.CutSuffix(name, "*")
	if plain == "" || len(plain) > longest || strings.ContainsFunc(plain, func(r rune) bool { return !isNameRune(r) }) {
		return errName
	}
	folded := string(fold(nil, plain))
	switch {
	case !isPrefix:
		l.exact[folded] = struct{}{}
	case len(folded) < start:
		return errPrefix
	default:
		l.addPrefix(folded)
	}
	return nil
}

func isNameRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_.", r)
}

func (l *List) addPrefix(prefix string) {
	key := [start]byte([]byte(prefix))
	l.prefixes[key] = append(l.prefixes[key], prefix)
}

// Strip removes the fields, however they are spelt. A backend that follows CGI reads
// "X_User.Id" as "X-User-Id", so those spellings go too.
func (l *List) Strip(h http.Header) {
	for name := range h {
		if l.has(name) {
			delete(h, name)
		}
	}
}

func (l *List) has(name string) bool {
	var buffer [longest]byte
	folded := fold(buffer[:0], name)
	if len(name) == len(folded) {
		if _, ok := l.exact[string(folded)]; ok {
			return true
		}
		if _, ok := proxied[string(folded)]; ok {
			return !isProxied(name)
		}
	}
	if len(folded) < start {
		return false
	}
	return slices.ContainsFunc(l.prefixes[[start]byte(folded)], func(prefix string) bool {
		return len(folded) >= len(prefix) && string(folded[:len(prefix)]) == prefix
	})
}

// isProxied says whether the name is one that reverse_proxy replaces: that spelling only.
func isProxied(name string) bool { return !strings.ContainsAny(name, "_.") }

// fold appends as much of the name as matters, in the spelling of the tables.
func fold(buffer []byte, name string) []byte {
	for i := 0; i < min(len(name), longest); i++ {
		c := name[i]
		switch {
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case c == '_' || c == '.':
			c = '-'
		}
		buffer = append(buffer, c)
	}
	return buffer
}
