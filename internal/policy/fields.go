package policy

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/open-tollgate/tollgate/internal/identity"
)

// fieldChanges are what a handler does to header fields, as Caddy has it.
type fieldChanges struct {
	Add     map[string][]string      `json:"add"`
	Set     map[string][]string      `json:"set"`
	Delete  []string                 `json:"delete"`
	Replace map[string][]replacement `json:"replace"`
}

type replacement struct {
	Search string `json:"search"`
	Regexp string `json:"search_regexp"`
	With   string `json:"replace"`
}

// setsHost says whether it changes the Host, which Caddy treats as a field here.
func (c *fieldChanges) setsHost() bool {
	if c == nil {
		return false
	}
	fields := slices.Concat(slices.Collect(maps.Keys(c.Add)), slices.Collect(maps.Keys(c.Set)), slices.Collect(maps.Keys(c.Replace)), c.Delete)
	return slices.ContainsFunc(fields, func(f string) bool {
		return hasPlaceholder(f) || valueMatches(strings.ToLower(f), "host")
	})
}

// replacesHost says whether it makes another Host of the one that was sent: of which, is not
// followed back.
func (c *fieldChanges) replacesHost() bool {
	return c != nil && slices.ContainsFunc(slices.Collect(maps.Keys(c.Replace)), func(f string) bool {
		return hasPlaceholder(f) || f == "*" || strings.EqualFold(f, "host")
	})
}

// changeHost notes what a handler can make of the Host.
func (s *Server) changeHost(c *fieldChanges) {
	if !c.setsHost() {
		return
	}
	host, literal := c.literalHost()
	if known := !s.setsHost || len(s.setHosts) > 0; literal && known {
		s.setHosts = append(s.setHosts, host)
	} else {
		s.setHosts = nil
	}
	s.setsHost = true
}

// literalHost gives the one that it sets, if nothing else can come of it.
func (c *fieldChanges) literalHost() (host string, ok bool) {
	others := *c
	others.Set = maps.Clone(c.Set)
	for field, values := range c.Set {
		if text := strings.Join(values, ","); strings.EqualFold(field, "host") && !strings.ContainsAny(text, "{}") {
			host = strings.ToLower(siteOf(text))
			delete(others.Set, field)
		}
	}
	return host, host != "" && !others.setsHost()
}

// field is what has become of a header field: what was sent, or values in its place, and
// what was done to that since.
type field struct {
	sent    bool
	chosen  bool     // the caller writes what is put in its place, or added
	guessed bool     // it is made of a part of the request that is not decided with a view to that
	values  []string // instead; nil: there is none
	ops     []fieldOp
}

// callers says whether the caller has a say in what is there.
func (f field) callers() bool { return f.sent || f.chosen }

// fieldOp adds a value, replaces texts, or does what is not followed.
type fieldOp struct {
	kind           opKind
	search, regexp string
	value          string // that is added, put in, or what is not followed, as it is written
}

type opKind byte

const (
	opAdd opKind = iota
	opReplace
	opOpaque
)

func (f field) equals(other field) bool {
	return f.sent == other.sent && f.chosen == other.chosen && slices.Equal(f.values, other.values) && (f.values == nil) == (other.values == nil) && slices.Equal(f.ops, other.ops)
}

// String tells it for people.
func (f field) String() string {
	text := "taken away"
	switch {
	case f.sent:
		text = "as sent"
	case f.values != nil:
		text = strings.Join(f.values, ", ")
	}
	for _, op := range f.ops {
		switch op.kind {
		case opAdd:
			text += "; added: " + op.value
		case opReplace:
			text += "; " + op.search + op.regexp + " replaced by " + op.value
		default:
			text += "; " + op.value
		}
	}
	return text
}

// resolve gives the values, where these were sent, and whether they are all known.
func (f field) resolve(sent []string, r *Request) (values []string, exact bool) {
	exact = true
	fill := func(text string) string {
		if r != nil {
			text = r.fillSent(text)
		}
		exact = exact && !hasPlaceholder(text)
		return plain(text)
	}
	if f.sent {
		values = slices.Clone(sent)
	} else {
		for _, value := range f.values {
			values = append(values, fill(value))
		}
	}
	for _, op := range f.ops {
		switch {
		case op.kind == opOpaque:
			exact = false
		case op.kind == opAdd:
			values = append(values, fill(op.value))
		case len(values) > 0: // or there is nothing to replace
			replace := replacer(fill(op.search), op.regexp, fill(op.value))
			exact = exact && replace != nil
			for n := range values {
				if replace != nil {
					values[n] = replace(values[n])
				}
			}
		}
	}
	return values, exact
}

// quantifier is all that has braces in most expressions.
var quantifier = regexp.MustCompile(`\{[0-9]+(,[0-9]*)?\}`)

// isFilledIn says whether Caddy fills placeholders of an expression in, and finds any, or
// takes a backslash in front of a brace away.
func isFilledIn(expression string) bool {
	escaped := strings.Contains(expression, `\{`) || strings.Contains(expression, `\}`)
	return hasPlaceholder(expression) && (escaped || hasPlaceholder(quantifier.ReplaceAllString(expression, "")))
}

// replacer is nil where the expression does not compile.
func replacer(search, expression, with string) func(string) string {
	if expression == "" {
		return func(value string) string { return strings.ReplaceAll(value, search, with) }
	}
	compiled, err := regexp.Compile(expression)
	if err != nil {
		return nil
	}
	return func(value string) string { return compiled.ReplaceAllString(value, with) }
}

// fields are what handlers have made of all of them. Who is not made is as sent, but for
// what the api around takes away, and for what was done to all.
type fields struct {
	made map[string]field
	gone []string  // patterns, in lower case
	all  []fieldOp // of what is not made
	edge bool      // an API has set those that are its own
}

func (f *fields) now(w *walk, name string) field {
	if made, ok := f.made[name]; ok {
		return made
	}
	if f.edge && slices.Contains(edgeFields, name) {
		return field{ops: edgeOps}
	}
	gone := slices.ContainsFunc(f.gone, func(pattern string) bool { return valueMatches(pattern, strings.ToLower(name)) })
	return field{sent: !gone && !w.stripped(name), ops: f.all}
}

func (f *fields) put(name string, made field) {
	if f.made == nil {
		f.made = make(map[string]field)
	}
	f.made[name] = made
}

// append does op, whose value is written as text.
func (f *fields) append(w *walk, name, text string, op fieldOp) {
	now := f.now(w, name)
	now.chosen, now.guessed = now.chosen || f.callersWrite(w, text), now.guessed || w.guesses(text)
	now.ops = append(slices.Clip(now.ops), op)
	f.put(name, now)
}

// disturb is for what may have changed any of them.
func (f *fields) disturb(op fieldOp) {
	for name, made := range f.made {
		made.ops = append(slices.Clip(made.ops), op)
		f.made[name] = made
	}
	f.all = append(slices.Clip(f.all), op)
}

// clone is for what is done on the way to one service only.
func (f *fields) clone() fields {
	return fields{made: maps.Clone(f.made), gone: f.gone, all: f.all, edge: f.edge}
}

// change does what Caddy does, in its order.
func (f *fields) change(w *walk, c *fieldChanges) {
	if c == nil {
		return
	}
	for _, name := range c.Delete {
		if w.fill(name) == "*" {
			*f = fields{gone: []string{"*"}}
		}
	}
	for _, raw := range slices.Sorted(maps.Keys(c.Add)) {
		for _, value := range c.Add[raw] {
			f.named(w, raw, "add", func(name string) { f.append(w, name, value, fieldOp{value: w.fill(value)}) })
		}
	}
	f.set(w, c.Set)
	for _, raw := range c.Delete {
		f.named(w, raw, "delete", func(name string) { f.remove(name) })
	}
	for _, raw := range slices.Sorted(maps.Keys(c.Replace)) {
		for _, r := range c.Replace[raw] {
			op := fieldOp{kind: opReplace, search: w.fill(r.Search), regexp: r.Regexp, value: w.fill(r.With)}
			if isFilledIn(r.Regexp) { // it may be another one for each request
				op = fieldOp{kind: opOpaque, value: "replaced: " + w.fill(r.Regexp) + " by " + op.value}
			}
			f.named(w, raw, "replace", func(name string) {
				if name == "*" {
					f.disturb(op)
				} else {
					f.append(w, name, r.With, op)
				}
			})
		}
	}
}

// set joins what is written for the same field in several spellings.
func (f *fields) set(w *walk, values map[string][]string) {
	set := make(map[string][]string, len(values))
	for _, raw := range slices.Sorted(maps.Keys(values)) {
		f.named(w, raw, "set", func(name string) { set[name] = append(set[name], values[raw]...) })
	}
	made := make(map[string]field, len(set))
	for name, values := range set {
		text := strings.Join(values, ",")
		made[name] = field{values: []string{w.fill(text)}, chosen: f.callersWrite(w, text), guessed: w.guesses(text)}
	}
	for name, field := range made {
		f.put(name, field)
	}
}

// callersWrite says whether a placeholder of the text is for what the caller is free to
// write: query, cookies, body, and header fields that are as sent. Path, method and host
// are not counted: what they may be is what the rules judge.
func (f *fields) callersWrite(w *walk, text string) (they bool) {
	replacePlaceholders(text, func(name string) (string, bool) {
		if field, ok := strings.CutPrefix(name, "http.request.header."); ok {
			they = they || f.now(w, canonicalField(field)).callers()
		} else {
			they = they || sourceOf(name) == ofCaller
		}
		return "", false
	})
	return they
}

// named calls do with the name of a field, if it is known.
func (f *fields) named(w *walk, raw, what string, do func(name string)) {
	name := plain(w.fill(raw))
	if hasPlaceholder(name) {
		f.disturb(fieldOp{kind: opOpaque, value: what + " " + name})
		return
	}
	do(canonicalField(name))
}

func (f *fields) remove(name string) {
	switch {
	case name == "*": // was done before all else
	case strings.Contains(name, "*"):
		pattern := strings.ToLower(name)
		f.gone = append(slices.Clip(f.gone), pattern)
		for made := range f.made {
			if valueMatches(pattern, strings.ToLower(made)) {
				f.made[made] = field{}
			}
		}
	default:
		f.put(name, field{})
	}
}

// edgeFields are those that an API makes.
var edgeFields = []string{"X-Request-Id", "X-Fapi-Interaction-Id", "Connection", "Upgrade", "Http2-Settings"}

// setByEdge is how.
const setByEdge = "set by the edge"

var edgeOps = []fieldOp{{kind: opOpaque, value: setByEdge}}

// enter takes away what an API takes away, and what a handler before it has set of that,
// which nobody spares.
func (f *fields) enter(strips *identity.List) {
	for name := range f.made {
		if isStripped(strips, name) {
			f.made[name] = field{}
		}
	}
	for _, name := range edgeFields {
		delete(f.made, name)
	}
	f.edge = true
}
