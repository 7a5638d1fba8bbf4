package policy

import (
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// unknown decides what cannot be analysed, and says so.
func (w *walk) unknown(what string) bool {
	w.open(what)
	return w.oracle.unknown(what)
}

// unknownNow is unknown for what handlers on the way can change: a question has another
// answer after them. A comparison is incomplete anyway, and asks once.
func (w *walk) unknownNow(what string) bool {
	w.open(what)
	if !w.oracle.quiet {
		what += " after " + strconv.Itoa(w.changes)
	}
	return w.oracle.unknown(what)
}

func (w *walk) lose(why string) {
	w.open(why)
	w.lost = why
}

// open says what is not analysed and does not change the way.
func (w *walk) open(what string) {
	if !slices.Contains(w.out.Open, what) {
		w.out.Open = append(w.out.Open, what)
	}
}

func (w *walk) setPath(p, raw string) {
	w.url.Path, w.url.RawPath = p, raw
	w.path = newLowered(p)
}

func (w *walk) currentPath() lowered { return w.path }

func (w *walk) currentMethod() string {
	if w.method != "" {
		return w.method
	}
	if w.req.Method == "" {
		w.req.Method = pick(w.oracle, w.oracle.methods)
	}
	return w.req.Method
}

func (w *walk) query() string {
	if !w.queryChanged && w.req.undecided("query") {
		if query := pick(w.oracle, w.oracle.queries); query != "" {
			w.req.Target += "?" + query
			w.url.RawQuery = query
		}
	}
	if u, err := parseTarget(w.req.Target); err == nil && !w.queryChanged {
		return u.RawQuery
	}
	return w.url.RawQuery
}

func (w *walk) address(client bool) netip.Addr {
	if w.req.undecided("address") {
		w.req.Remote = pick(w.oracle, w.oracle.addresses)
	}
	if client {
		return w.req.client()
	}
	return w.req.Remote
}

// field gives the values of a header field as they are now, and whether they are known.
func (w *walk) field(name string) (values []string, known bool) {
	name = canonicalField(name)
	if name == "Host" {
		return []string{w.req.Host}, !w.anyHost
	}
	if values, ok := w.set[name]; ok {
		return values, true
	}
	if w.hidden[name] || w.hidden["*"] {
		return nil, false
	}
	if w.req.undecided("header " + name) {
		if values := pick(w.oracle, w.oracle.fields[name]); values != nil {
			w.req.Header[name] = values
		}
	}
	sent := w.req.Header[name]
	if w.stripped(name) {
		sent = nil
	}
	return sent, true
}

// stripped says whether the API around takes the field away.
func (w *walk) stripped(name string) bool {
	if w.strips == nil {
		return false
	}
	field := http.Header{name: {""}}
	w.strips.Strip(field)
	return len(field) == 0
}

// strip takes a field away that a handler has changed.
func (w *walk) strip(name string) {
	if w.stripped(name) {
		w.setField(name, nil)
	}
}

func (w *walk) setField(name string, values []string) {
	if hasPlaceholder(strings.Join(values, " ")) || hasPlaceholder(name) {
		w.hide(name)
		return
	}
	if w.set == nil {
		w.set = make(map[string][]string)
	}
	w.set[canonicalField(name)] = values
}

func (w *walk) hide(name string) {
	if w.hidden == nil {
		w.hidden = make(map[string]bool)
	}
	w.hidden[canonicalField(name)] = true
	delete(w.set, canonicalField(name))
}
