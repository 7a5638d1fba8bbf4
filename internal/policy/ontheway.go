package policy

import (
	"maps"
	"slices"
	"strings"
)

// onTheWay is what handlers may have done with a request before it gets somewhere.
type onTheWay struct {
	options map[string][]option // by the name of a placeholder, or of what else is made
	moved   bool                // path, method or Host may be others than matchers have seen
}

// option is one of the things that may have been done.
type option struct {
	text     string // in which placeholders stand for what they did when it was done
	written  string // as it is in the configuration
	template *Pass
	late     bool     // what it is made of is looked up when it is asked for
	in       []*Route // that a request has to pass for it
}

// What is made beside placeholders: no placeholder is called so.
const (
	hostKey     = "http.request.header.Host"
	uriKey      = "the path"
	templateKey = "a template"
	rootVar     = "http.vars.root"
	messageKey  = "http.error.message"
	errorKey    = "http.error"
)

// bodyKeys are what gives the body.
var bodyKeys = []string{"http.request.body", "http.request.body_base64"}

// optionKey is the name under which options for a placeholder are, and what it takes of each:
// nil, all.
func optionKey(name string) (key string, part func(text string) string) {
	if whole, ok := strings.CutSuffix(name, aPart); ok {
		key, _ = optionKey(whole)
		return key, parts
	}
	field, ok := strings.CutPrefix(name, "http.request.header.")
	cookie, isCookie := strings.CutPrefix(name, "http.request.cookie.")
	switch {
	case ok:
		return fieldKey(field), nil
	case isCookie:
		return fieldKey("Cookie"), func(text string) string { return cookieIn(text, cookie) }
	case name == "http.request.host" || name == "http.request.hostport":
		return hostKey, nil
	case strings.HasPrefix(name, "http.request.host.labels.") || name == "http.request.port":
		return hostKey, anyPart
	case name == pathPlaceholder:
		return uriKey, nil
	case name == uriPlaceholder:
		return uriKey, func(text string) string { return text + "?{" + queryPlaceholder + "}" }
	case strings.HasPrefix(name, pathPlaceholder+"."):
		return uriKey, anyPart
	}
	return name, nil
}

// anyPart is what a part of a text can be that is as open as any other part of it.
func anyPart(text string) string {
	if open := placeholder.FindAllString(text, -1); len(open) > 0 {
		return parts(strings.Join(open, ""))
	}
	return text
}

// cookieIn is what a field can have for a cookie: who writes a part of it can write more of them.
func cookieIn(field, cookie string) (values string) {
	for pair := range strings.SplitSeq(field, ";") {
		name, value, _ := strings.Cut(pair, "=")
		switch {
		case strings.EqualFold(strings.TrimSpace(name), cookie):
			values += value
		case hasPlaceholder(name):
			values += anyPart(pair)
		default:
			for _, open := range placeholder.FindAllString(value, -1) {
				if sourceOf(strings.Trim(open, "{}")) >= ofPath {
					values += parts(open)
				}
			}
		}
	}
	return values
}

func fieldKey(field string) string { return "http.request.header." + canonicalField(field) }

// otherwise is what something is where nobody has made another of it.
func otherwise(key string) []option {
	switch {
	case key == hostKey:
		return []option{{text: "{http.request.host}"}}
	case key == uriKey:
		return []option{{text: "{" + pathPlaceholder + "}"}}
	case strings.HasPrefix(key, "http.request.header."), key == messageKey, key == errorKey, slices.Contains(bodyKeys, key):
		return []option{{text: "{" + key + "}"}}
	default:
		return nil
	}
}

func (o *onTheWay) now(key string) []option {
	if options, made := o.options[key]; made {
		return options
	}
	return otherwise(key)
}

func (o *onTheWay) put(key string, options []option) {
	if o.options = maps.Clone(o.options); o.options == nil {
		o.options = make(map[string][]option)
	}
	o.options[key] = options
}

// mostOptions bounds them, of one thing each: what more there are is not known.
const mostOptions = 256

// or has also what was done in a route that not all requests pass; nil: whether they do is
// not known.
func (o onTheWay) or(inner onTheWay, r *Route) onTheWay {
	both := onTheWay{moved: o.moved || inner.moved, options: maps.Clone(o.options)}
	if both.options == nil {
		both.options = make(map[string][]option)
	}
	for key, options := range inner.options {
		all := slices.Clip(o.now(key))
		if len(all) == len(options) && (len(all) == 0 || &all[0] == &options[0]) {
			continue
		}
		for _, one := range options {
			if len(all) >= mostOptions || slices.ContainsFunc(all, one.is) {
				continue
			}
			if r != nil {
				one.in = append(slices.Clip(one.in), r)
			}
			if len(all) == mostOptions-1 {
				one.text, one.in = "{"+key+"}", nil
			}
			all = append(all, one)
		}
		both.options[key] = all
	}
	return both
}

func (o option) is(other option) bool {
	return o.text == other.text && o.written == other.written && o.late == other.late && o.template == other.template && slices.Equal(o.in, other.in)
}

// may gives what of it may have been done with requests of the rule.
func (r *Rule) may(key string) []option {
	isDone := func(o option) bool {
		return !slices.ContainsFunc(o.in, func(passed *Route) bool {
			return slices.ContainsFunc(r.within, func(here *Route) bool { return passed.excludes(here, r.on.moved) })
		})
	}
	var all []option
	for _, o := range r.on.options[key] {
		if isDone(o) {
			all = append(all, o)
		}
	}
	return all
}

// mostTexts bounds what one text may be; beyond it a placeholder stays.
const mostTexts = 64

// spell gives what a text may be, with what has been made of placeholders.
func (r *Rule) spell(text string) []string { return r.spellWithin(text, 0) }

func (r *Rule) spellWithin(text string, depth int) []string {
	all, rest := []string{""}, 0
	for _, at := range placeholder.FindAllStringIndex(text, -1) {
		name := text[at[0]:at[1]]
		texts := r.textsOf(name, depth)
		if len(texts) == 0 || len(all)*len(texts) > mostTexts {
			texts = []string{name}
		}
		var longer []string
		for _, before := range all {
			for _, one := range texts {
				longer = append(longer, before+text[rest:at[0]]+one)
			}
		}
		all, rest = longer, at[1]
	}
	for n := range all {
		all[n] += text[rest:]
	}
	return unique(all)
}

// textsOf are what has been made of one placeholder.
func (r *Rule) textsOf(name string, depth int) (all []string) {
	key, part := optionKey(strings.Trim(name, "{}"))
	for _, o := range r.may(key) {
		texts := []string{o.text}
		if o.late && depth < maxNested {
			texts = r.spellWithin(o.text, depth+1)
		}
		for _, one := range texts {
			if part != nil {
				one = part(one)
			}
			all = append(all, one)
		}
	}
	return unique(all)
}

// optionsOf are what a text may be, as options.
func (r *Rule) optionsOf(texts ...string) (all []option) {
	for _, written := range texts {
		for _, text := range r.spell(written) {
			all = append(all, option{text: text, written: written})
		}
	}
	return all
}

// everywhere has what any handler of the server does that is still there when another one
// has failed, or has answered: variables, maps, the messages of errors.
func (s *Server) everywhere() (all onTheWay) {
	for range 2 { // one may be made of another
		visit := func(h Handler) {
			r := Rule{server: s, on: all}
			r.passBy(h)
			all = all.or(r.on, nil)
		}
		VisitRoutes(s.Routes, visit)
		VisitRoutes(s.Errors, visit)
		for _, r := range s.Named {
			VisitRoutes([]*Route{r}, visit)
		}
	}
	maps.DeleteFunc(all.options, func(key string, _ []option) bool {
		return key == uriKey || key == templateKey || strings.HasPrefix(key, "http.request.header.")
	})
	all.moved = false
	return all
}

// mayMove says whether path, method or Host may become others before an answer: behind the
// handler that is met now, as far as is known.
func (r *Rule) mayMove() (moves bool) {
	visit := func(h Handler) {
		alone := Rule{server: r.server}
		alone.passBy(h)
		moves = moves || alone.on.moved
	}
	if r.api != nil {
		VisitRoutes(r.api.Routes, visit)
	} else {
		VisitRoutes(r.server.Routes, visit)
		VisitRoutes(r.server.Errors, visit)
	}
	for _, named := range r.server.Named {
		VisitRoutes([]*Route{named}, visit)
	}
	return moves
}
