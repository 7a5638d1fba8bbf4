package policy

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Sent is what whoever answers is asked: the request as handlers have left it.
type Sent struct {
	Method string `json:"method"`
	Target string `json:"target"`
	Host   string `json:"host"`
	Root   string `json:"root,omitempty"` // of a folder
	// Header has the fields that handlers have changed; with no value, those that they have
	// taken away.
	Header http.Header `json:"header,omitempty"`
	// Rewrites are those that were not followed: what they make of Target is not known.
	Rewrites []string `json:"rewrites,omitempty"`
}

// way is what becomes of a request on its way, beside who may send it.
type way struct {
	by       Handler // that answers
	method   string  // where it is not the one that was sent
	rewrote  bool    // it is not
	url      url.URL
	queried  bool     // the query is no more the one that was sent
	rewrites []string // that were not followed, after url
	fields   fields
	walk     *walk    // for what the api around takes away
	api      *API     // around
	answer   []string // what is done to the fields of the answer
	passes   []*Pass  // that were met
	vars     map[string]string
	settings map[string]string // of who answers, with what the walk has filled in
	said     *way              // what is said in the place of that answer; nil: the answer itself
}

// words is the way to what the caller is told.
func (y *way) words() *way {
	if y.said != nil {
		return y.said
	}
	return y
}

// deliver notes how the request comes to who answers.
func (w *walk) deliver(by Handler, settings map[string]string) {
	w.out.way = &way{
		by: by, method: w.method, rewrote: w.methodSet, url: *w.url, queried: w.queryChanged, rewrites: w.rewrites, fields: w.fields, walk: &walk{strips: w.strips, server: w.server},
		api: w.current, passes: w.passes, vars: w.vars, settings: settings,
	}
	w.around(w.out.way)
}

// around notes what is done to the fields of an answer.
func (w *walk) around(y *way) {
	y.answer = nil
	for _, op := range w.answers {
		y.answer = append(y.answer, op.text)
	}
}

// target is what a complete request is forwarded as, without a fragment.
func (y *way) target(r *Request) string {
	u := y.url
	if sent, err := parseTarget(r.Target); err == nil && !y.queried {
		u.RawQuery, u.ForceQuery = sent.RawQuery, sent.ForceQuery
	}
	return u.RequestURI()
}

func (y *way) methodOf(r *Request) string {
	if !y.rewrote {
		return r.Method
	}
	method := strings.ToUpper(plain(y.seen(r).fillSent(y.method)))
	if _, folder := y.by.(*FilesHandler); folder { // takes none for none
		return method
	}
	return cmp.Or(method, http.MethodGet) // which none stands for, in front of a service
}

// line is the method and the target, and what is done to them that is not known.
func (y *way) line(r *Request) string {
	text := y.methodOf(r) + " " + y.target(r)
	if len(y.rewrites) > 0 {
		text += ", and then " + plain(strings.Join(y.rewrites, ", "))
	}
	return text
}

// seen is a complete request as the server has taken it.
func (y *way) seen(r *Request) *Request { return r.seenBy(y.walk.server) }

func (y *way) field(name string) field { return y.fields.now(y.walk, name) }

// host is the one that the service sees. Without one, Caddy names the service itself.
func (y *way) host(r *Request) string {
	values, exact := y.field("Host").resolve([]string{r.Host}, y.seen(r))
	host := lastOf(values)
	switch {
	case host == "":
		return upstreamHost
	case exact && !httpguts.ValidHostHeader(host):
		return "" // as Go sends it
	default:
		return host
	}
}

const upstreamHost = "{http.reverse_proxy.upstream.hostport}"

// sent is what a complete request has become.
func (y *way) sent(r *Request) *Sent {
	r = y.seen(r)
	s := &Sent{Method: y.methodOf(r), Target: y.target(r), Host: y.host(r), Header: make(http.Header), Root: plain(y.settings["root"])}
	for _, text := range y.rewrites {
		s.Rewrites = append(s.Rewrites, plain(text))
	}
	for name := range y.fields.made {
		if name == "Host" {
			continue
		}
		values, exact := y.field(name).resolve(r.Header[name], r)
		if !exact {
			values = append(values, "(not known)")
		}
		s.Header[name] = values
	}
	for name := range r.Header {
		now := y.field(name)
		if values, exact := now.resolve(r.Header[name], r); exact && !slices.Equal(values, r.Header[name]) {
			s.Header[name] = values
		}
	}
	return s
}

// Field gives the values of a field as they are sent on, of a request that had these.
func (s *Sent) Field(name string, had []string) []string {
	if values, ok := s.Header[canonicalField(name)]; ok {
		return values
	}
	return had
}
