package policy

import (
	"net/netip"
	"net/url"
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

// maxOpen bounds what is named of one request.
const maxOpen = 100

// open says what is not analysed and does not change the way.
func (w *walk) open(what string) {
	if len(w.out.Open) < maxOpen && !slices.Contains(w.out.Open, what) {
		w.out.Open = append(w.out.Open, what)
	}
}

func (w *walk) setPath(p, raw string) {
	w.url.Path, w.url.RawPath = p, raw
	w.path = newLowered(p)
}

func (w *walk) currentPath() lowered { return w.path }

func (w *walk) currentMethod() string {
	if w.methodSet {
		return w.method
	}
	if w.req.Method == "" {
		w.req.Method = pick(w.oracle, w.oracle.methods)
	}
	return w.req.Method
}

func (w *walk) query() string {
	if !w.queryChanged && w.req.open != nil && !w.req.open["query"] {
		for _, key := range w.oracle.filled {
			w.fillParameter(key)
		}
	}
	if !w.queryChanged && w.req.undecided("query") && !strings.Contains(w.req.Target, "?") {
		possible := slices.DeleteFunc(slices.Clone(w.oracle.queries), w.req.isRuledOut)
		if query := pick(w.oracle, possible); query != "" {
			w.req.Target += "?" + query
			w.url.RawQuery = query
		}
	}
	if u, err := parseTarget(w.req.Target); err == nil && !w.queryChanged {
		w.url.RawQuery = u.RawQuery // a copy of the walk may have decided it
	}
	return w.url.RawQuery
}

// isRuledOut says whether a query has a parameter that was decided to be another.
func (r *Request) isRuledOut(query string) bool {
	var parsed url.Values // when something was decided
	for part, open := range r.parts {
		key, decided := strings.CutPrefix(part, "query ")
		if !decided || open == nil {
			continue
		}
		if parsed == nil {
			parsed = lenient(query)
		}
		if values, there := parsed[key]; there && open.rulesOut(values) {
			return true
		}
	}
	return false
}

// remote gives the address of the connection.
func (w *walk) remote() netip.Addr {
	if w.req.undecided("address") {
		w.req.Remote = pick(w.oracle, w.oracle.addresses)
	}
	return w.req.Remote
}
