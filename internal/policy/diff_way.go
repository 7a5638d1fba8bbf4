package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// elsewhere compares what becomes of a request that both let in, each part by itself: none
// hides another.
func (d *differ) elsewhere(r *Request, was, is *Outcome) {
	samePlace := was.Kind == is.Kind && slices.Equal(was.Upstreams, is.Upstreams) && was.API == is.API
	if !samePlace {
		d.add(Moved, r, d.common(was, is), was, is, is, fmt.Sprintf("goes from %s to %s", was.place(), is.place()))
	}
	if was.Kind == is.Kind || !was.Admits() {
		d.becomes(r, was, is)
	}
}

// becomes compares what is done with a request on its way, and with its answer.
func (d *differ) becomes(r *Request, was, is *Outcome) {
	if was.way == nil || is.way == nil {
		return // nobody listens
	}
	c := wayDiff{old: d.old, new: d.new, request: r, was: was.way, is: is.way}
	c.compare(was, is)
	d.parts(&c, was, is)
}

// parts adds what is another.
func (d *differ) parts(c *wayDiff, was, is *Outcome) {
	for _, f := range c.found {
		shown := c.request
		if f.shown != nil {
			shown = f.shown
		}
		d.addChange(shown, d.common(was, is), was, is, &Change{
			Direction: f.direction, API: is.API, What: f.what, Part: f.part, Rule: is.Rule, Old: f.before, New: f.after,
		})
	}
}

// answers compares what is said to who is not let in: where a redirect leads, and what else
// the configuration says by itself. Which of the refusals it is, is not compared.
func (d *differ) answers(r *Request, was, is *Outcome) {
	switch {
	case was.Kind == Responded && is.Kind == Responded, was.redirects(), is.redirects():
		d.elsewhere(r, was, is)
	default:
		d.becomes(r, was, is)
	}
}

func (o *Outcome) redirects() bool { return o.Kind == Responded && o.Location != "" }

// common gives a token that both take; the new one's where there is none.
func (d *differ) common(was, is *Outcome) *Token {
	before, after := demandOf(was), demandOf(is)
	tokens := slices.Concat(after.least(d.now), before.least(d.now))
	for _, t := range tokens {
		if before.admits(t, d.now) && after.admits(t, d.now) {
			return t
		}
	}
	if len(tokens) > 0 {
		return tokens[0]
	}
	return nil
}

// difference is a part of the way that is another.
type difference struct {
	direction                 Direction
	part, what, before, after string
	shown                     *Request // nil: by the request itself
}

// wayDiff compares two ways of one request.
type wayDiff struct {
	old, new *Config
	request  *Request
	was, is  *way
	found    []difference
}

func (c *wayDiff) add(direction Direction, part, what, before, after string) {
	c.found = append(c.found, difference{direction: direction, part: part, what: what, before: publicText(plain(before)), after: publicText(plain(after))})
}

// unknown is for what is another in a way that nobody here understands.
func (c *wayDiff) unknown(part, what, before, after string) {
	c.add(Widened, part, what+", in a way that is not analysed", before, after)
}

func (c *wayDiff) compare(was, is *Outcome) {
	if was.Reaches() && is.Reaches() {
		c.line(was.Kind)
	}
	if was.Kind == Forwarded && is.Kind == Forwarded {
		c.fields()
		c.status(was.Status, is.Status)
	}
	c.settings()
	c.answer()
	c.passed()
}

// line compares what is asked for: of a folder only the path counts.
func (c *wayDiff) line(kind Kind) {
	if c.was.sameLine(c.is) {
		return
	}
	before, after := c.was.line(c.request), c.is.line(c.request)
	if kind == Files {
		before, _, _ = strings.Cut(before, "?")
		after, _, _ = strings.Cut(after, "?")
	}
	const what = "reaches another resource"
	switch {
	case before == after:
	case len(c.was.rewrites)+len(c.is.rewrites) > 0, hasPlaceholder(before + after):
		c.unknown("request", what, before, after)
	default:
		c.add(Moved, "request", what, before, after)
	}
}

// sameLine says whether they are equal without a look at the request: nearly all are.
func (y *way) sameLine(other *way) bool {
	return y.method == other.method && y.rewrote == other.rewrote && y.url.Path == other.url.Path && y.url.RawPath == other.url.RawPath &&
		len(y.rewrites)+len(other.rewrites) == 0 && y.queried == other.queried && (!y.queried || y.url == other.url)
}

// fields compares what the service gets beside.
func (c *wayDiff) fields() {
	for _, name := range c.names() {
		before, after := c.was.field(name), c.is.field(name)
		if !before.equals(after) && !before.isEdges(after) && !after.isEdges(before) {
			c.field(name, before, after)
		}
	}
}

// isEdges says whether an API has set it, and the other is outside of any: that it is goes
// without saying.
func (f field) isEdges(other field) bool {
	return len(f.ops) == 1 && f.ops[0].value == setByEdge && other.sent && len(other.ops) == 0
}

// names are of the fields that may be others: those that a handler of one of them has named,
// and samples for patterns.
func (c *wayDiff) names() []string {
	names := make(map[string]bool)
	for _, y := range []*way{c.was, c.is} {
		for name := range y.fields.made {
			names[name] = true
		}
		if y.api != nil {
			for _, name := range y.api.Strip {
				names[canonicalField(sampleName(name))] = true
			}
		}
	}
	if (c.was.api == nil) != (c.is.api == nil) { // each API takes them away
		names[identityField] = true
		for _, config := range []*Config{c.old, c.new} {
			if handed := config.Tollgate.ClientCertificate; handed != nil {
				names[canonicalField(handed.Header)] = true
			}
		}
	}
	if !slices.Equal(c.was.fields.gone, c.is.fields.gone) {
		for _, pattern := range slices.Concat(c.was.fields.gone, c.is.fields.gone) {
			names[canonicalField(sampleName(pattern))] = true
		}
	}
	if !slices.Equal(c.was.fields.all, c.is.fields.all) {
		names[canonicalField("X-"+stranger)] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// identityField stands for those that say who a caller is.
const identityField = "X-User-Id"

// sampleName is a name that a pattern stands for.
func sampleName(pattern string) string {
	if pattern == "*" {
		return "X-" + stranger
	}
	return strings.ReplaceAll(pattern, "*", stranger)
}

// field looks for a request of which another value comes out.
func (c *wayDiff) field(name string, before, after field) {
	exact := true
	for _, r := range c.variants(name, before, after) {
		was, knew := before.final(name, c.was.seen(r))
		is, knows := after.final(name, c.is.seen(r))
		exact = exact && knew && knows
		if !knew || !knows || slices.Equal(was, is) {
			continue
		}
		f := difference{part: "field " + name, what: "the service gets another header field " + name, shown: r}
		f.direction, f.before, f.after = Moved, tell(name, before, was), tell(name, after, is)
		if before.callers() != after.callers() {
			f.direction, f.what = Narrowed, "the caller does not choose the header field "+name+" any more"
			if after.callers() {
				f.direction, f.what = Widened, "the caller chooses the header field "+name
			}
		}
		c.found = append(c.found, f)
		return
	}
	if !exact || before.hasExpression() || after.hasExpression() {
		c.unknown("field "+name, "the service gets another header field "+name, mask(name, before.String()), mask(name, after.String()))
	}
}

// final gives what comes out for a request.
func (f field) final(name string, r *Request) ([]string, bool) {
	values, exact := f.resolve(r.sentIn(name), r)
	if name == "Host" && len(values) > 1 {
		values = values[len(values)-1:]
	}
	return values, exact || slices.Equal(values, []string{upstreamHost})
}

func (f field) hasExpression() bool {
	return slices.ContainsFunc(f.ops, func(op fieldOp) bool { return op.regexp != "" })
}

// variants are the request, and others that no matcher tells from it.
func (c *wayDiff) variants(name string, fields ...field) []*Request {
	r := c.request
	var all []*Request
	mentioned := []string{name}
	samples := []string{stranger}
	for _, f := range fields {
		text := f.String()
		for _, p := range placeholder.FindAllString(text, -1) {
			if field, ok := strings.CutPrefix(strings.Trim(p, "{}"), "http.request.header."); ok {
				mentioned = append(mentioned, canonicalField(field))
			}
		}
		for _, op := range f.ops {
			if op.kind == opReplace {
				samples = append(samples, op.search)
				samples = append(samples, regexpInstances(op.regexp, 4)...)
			}
		}
	}
	for _, sample := range samples {
		v := *r
		v.Header = maps.Clone(r.Header)
		for n, field := range mentioned {
			if field == "" || field == "Host" || r.asked["header "+field] {
				continue
			}
			v.Header[field] = []string{sample}
			if n > 0 { // each its own
				v.Header[field] = []string{fmt.Sprintf("%s-%d", stranger, n)}
			}
		}
		all = append(all, &v)
	}
	other := *all[0]
	if !r.asked["method"] {
		other.Method = "POST"
	}
	if !r.asked["address"] {
		other.Remote = further(r.Remote, 1, 0, 0)
	}
	all = append(all, &other)
	for _, y := range []*way{c.was, c.is} {
		if forwarded := y.walk.server.forwarded(r); forwarded != nil {
			all = append(all, forwarded)
		}
	}
	if !r.asked["port"] {
		ported := *all[0]
		ported.Host += ":1"
		all = append(all, &ported)
	}
	if slices.ContainsFunc(fields, field.callers) { // it shows more where there is one
		return append(all, r)
	}
	return append([]*Request{r}, all...)
}

// tell is what comes out of a field, and whose choice that is.
func tell(name string, f field, values []string) string {
	switch {
	case values == nil:
		return "taken away"
	case f.sent && len(f.ops) == 0:
		return "as sent: " + strings.Join(values, ", ")
	default:
		return mask(name, strings.Join(values, ", "))
	}
}

// mask hides what is likely to be a secret of the configuration.
func mask(name, text string) string {
	name = strings.ToLower(name)
	for _, word := range []string{"authorization", "cookie", "key", "token", "secret", "password", "credential", "signature", "proxy_url", "network_proxy"} {
		if strings.Contains(name, word) {
			return notShown
		}
	}
	return text
}

const notShown = "(a value that is not shown)"

func maskText(text string) string {
	if text == "" {
		return ""
	}
	return notShown
}

// passed compares the handlers that the request has only passed.
func (c *wayDiff) passed() {
	if c.was.vars["log_skip"] != c.is.vars["log_skip"] {
		direction := Widened
		if c.is.vars["log_skip"] != "true" {
			direction = Narrowed
		}
		c.add(direction, "log_skip", "is left out of the access log", c.was.vars["log_skip"], c.is.vars["log_skip"])
	}
	if c.was.isSilent() || c.is.isSilent() { // nothing else is done with what nobody takes, or says
		return
	}
	c.variables()
	if slices.EqualFunc(c.was.passes, c.is.passes, func(a, b *Pass) bool { return a.text == b.text }) {
		return
	}
	kinds := make(map[string]bool)
	for _, h := range slices.Concat(c.was.passes, c.is.passes) {
		kinds[h.What] = !h.silent()
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		before, after := textOf(c.was.passes, kind), textOf(c.is.passes, kind)
		switch {
		case !kinds[kind] || before == after:
		case kind == "request_body":
			c.body(before, after)
		default:
			if secretName.MatchString(before + after) { // it looks at one, and may say which
				before, after = maskText(before), maskText(after)
			}
			c.add(Moved, kind, "passes another "+kind, before, after)
		}
	}
}

// variables compares those whose values only the request or the machine knows: what they
// decide is written alike.
func (c *wayDiff) variables() {
	names := maps.Clone(c.was.vars)
	if names == nil {
		names = make(map[string]string)
	}
	maps.Copy(names, c.is.vars)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		before, after := c.was.vars[name], c.is.vars[name]
		if before != after && (hasPlaceholder(before) || hasPlaceholder(after)) {
			c.unknown("vars "+name, "the variable "+name+" is another", mask(name, before), mask(name, after))
		}
	}
}

func textOf(passes []*Pass, kind string) string {
	var all []string
	for _, h := range passes {
		if h.What == kind {
			all = append(all, h.text)
		}
	}
	return strings.Join(all, ", ")
}

// body compares how large a body may be.
func (c *wayDiff) body(before, after string) {
	was, is := maxBody(c.was.passes), maxBody(c.is.passes)
	switch {
	case is == 0 && was > 0, is > was && was > 0:
		c.add(Widened, "request_body", "larger bodies are let in", before, after)
	case was == 0 && is > 0, is < was:
		c.add(Narrowed, "request_body", "larger bodies are refused", before, after)
	default:
		c.add(Moved, "request_body", "passes another request_body", before, after)
	}
}

// maxBody is the smallest of the limits; 0: there is none.
func maxBody(passes []*Pass) (least int64) {
	for _, h := range passes {
		if h.maxBody > 0 && (least == 0 || h.maxBody < least) {
			least = h.maxBody
		}
	}
	return least
}
