package policy

import (
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Series says how often a witness has to be sent to show that a limit has changed: the
// last request is admitted by one configuration and refused by the other, and all before
// it by none.
type Series struct {
	Count  int64    `json:"count"`             // requests, one after the other
	AtOnce bool     `json:"at_once,omitempty"` // and all of them while none is answered
	Each   []string `json:"each,omitempty"`    // what is another one in each: "user", "header X-App"
	Pause  string   `json:"pause,omitempty"`   // and then, after this long,
	Then   int64    `json:"then,omitempty"`    // so many more
}

// String tells it for people.
func (s *Series) String() string {
	text := fmt.Sprintf("%d times", s.Count)
	if s.AtOnce {
		text += " at once"
	}
	if len(s.Each) > 0 {
		text += ", each with another " + strings.Join(s.Each, " and ")
	}
	if s.Pause != "" {
		text += fmt.Sprintf(", and after %s %d times more", s.Pause, s.Then)
	}
	return text
}

// Request gives the nth request of the series, counted from none.
func (s *Series) Request(witness Request, n int64) Request {
	r := witness
	for _, what := range s.Each {
		vary(&r, what, n)
	}
	return r
}

// variations are what requests can differ in so that these zones count them apart.
func variations(zones []*Zone) (all []string) {
	for _, z := range zones {
		for _, name := range z.key.placeholders() {
			switch {
			case name == "http.auth.user.id" || name == "http.auth.token.sub":
				all = append(all, "user")
			case name == "http.auth.client.id" || name == "http.auth.token.client_id":
				all = append(all, "client")
			case name == "http.vars.client_ip" || name == "http.request.remote.host":
				all = append(all, "address", "network")
			default:
				for prefix, what := range map[string]string{"http.auth.token.": "claim ", "http.request.header.": "header ", "http.request.uri.query.": "query "} {
					if rest, ok := strings.CutPrefix(name, prefix); ok {
						all = append(all, what+rest)
					}
				}
			}
		}
	}
	slices.Sort(all)
	return unique(all)
}

// vary makes one thing of a request another one in the nth.
func vary(r *Request, what string, n int64) {
	kind, name, _ := strings.Cut(what, " ")
	number := strconv.FormatInt(n, 10)
	if r.Token != nil && (kind == "user" || kind == "client" || kind == "claim") {
		t := *r.Token
		t.Claims = maps.Clone(t.Claims)
		if t.Claims == nil {
			t.Claims = make(map[string]any)
		}
		r.Token = &t
	}
	switch {
	case kind == "user" && r.Token != nil:
		r.Token.Subject += "-" + number
	case kind == "client" && r.Token != nil:
		r.Token.Client += "-" + number
	case kind == "claim" && r.Token != nil:
		before, _ := r.Token.Claims[name].(string)
		r.Token.Claims[name] = before + "-" + number
	case kind == "address":
		r.Remote = further(r.Remote, n, 0, 0)
	case kind == "network":
		r.Remote = further(r.Remote, n, 2, 8)
	case kind == "header":
		r.Header = maps.Clone(r.Header)
		r.Header[canonicalField(name)] = []string{r.Header.Get(name) + number}
	case kind == "query":
		path, query, _ := strings.Cut(r.Target, "?")
		values := lenient(query)
		values.Set(name, values.Get(name)+number)
		r.Target = path + "?" + values.Encode()
	}
}

// further gives the nth address after this one, in steps of so many bytes.
func further(a netip.Addr, n int64, step4, step6 int) netip.Addr {
	bytes, step := a.AsSlice(), step6
	if len(bytes) == 4 {
		step = step4
	}
	for at := len(bytes) - 1 - step; at >= 0 && n > 0; at-- {
		n += int64(bytes[at])
		bytes[at] = byte(n)
		n >>= 8
	}
	address, _ := netip.AddrFromSlice(bytes)
	return address
}

// limits compares how often a request is let in that both let in.
func (d *differ) limits(j job, r *Request, was, is *Outcome) {
	d.sharing(r, was, is)
	lessMade := was.countsLess(is)
	if slices.EqualFunc(was.zones, is.zones, (*Zone).equals) && slices.EqualFunc(was.Counters, is.Counters, sameCost) && lessMade == "" {
		return
	}
	if d.knows(limitedKeyOf(j, was, is), r) {
		return
	}
	l := &limitsOf{d: d, job: j, was: was, is: is, request: *r, variations: variations(slices.Concat(was.zones, is.zones))}
	if !l.choose(demandOf(was), demandOf(is), slices.Concat(was.zones, is.zones)) {
		return // nobody is let in by both
	}
	found := &shownLimit{request: l.request}
	lost, added := loosened(was.zones, is.zones, "is gone"), loosened(is.zones, was.zones, "is new")
	wider, narrower := l.compare()
	if lessMade != "" && wider == nil && lost == "" {
		d.cannotFollow(fmt.Sprintf("%s, where limits count by what handlers make of %s", was.place(), lessMade))
	}
	if wider != nil || lost != "" {
		found.changes = append(found.changes, d.addLimit(Widened, &l.request, wider, was, is, lost))
	}
	if narrower != nil || added != "" {
		found.changes = append(found.changes, d.addLimit(Narrowed, &l.request, narrower, was, is, added))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.limited[limitedKeyOf(j, was, is)] = found
}

// limitedKey is what the comparison of limits depends on, but for the request: to compare
// takes dozens of walks, and most requests for a rule are alike.
type limitedKey struct {
	pair
	was, is, zones string
}

// shownLimit is what was found for the plainest request so far.
type shownLimit struct {
	request Request
	changes []*Change
}

func limitedKeyOf(j job, was, is *Outcome) limitedKey {
	return limitedKey{j.pair, was.Rule.At, is.Rule.At, fmt.Sprint(was.zones, is.zones, was.counted, is.counted)}
}

// knows says whether a plainer request has shown what there is to show.
func (d *differ) knows(key limitedKey, r *Request) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	found := d.limited[key]
	if found == nil || !found.request.plainer(r) {
		return false
	}
	for _, c := range found.changes {
		c.More++
	}
	return true
}

func sameCost(a, b Counter) bool { return a.Key == b.Key && a.Cost == b.Cost }

// limitsOf compares the limits of one request, and of those that are like it.
type limitsOf struct {
	d          *differ
	job        job
	was, is    *Outcome
	request    Request
	variations []string
}

// choose gives the request a token that both take, with the claims that limits count by.
func (l *limitsOf) choose(was, is demand, zones []*Zone) bool {
	if was.public && is.public {
		l.request.Token = nil
		return true
	}
	for _, t := range slices.Concat(is.least(l.d.now), was.least(l.d.now)) {
		if !was.admits(t, l.d.now) || !is.admits(t, l.d.now) {
			continue
		}
		for _, z := range zones {
			for _, name := range z.key.placeholders() {
				if claim, ok := strings.CutPrefix(name, "http.auth.token."); ok && t.claim(claim) == nil {
					t.Claims[claim] = stranger
				}
			}
		}
		l.request.Token, l.request.HasCert, l.request.SentAs = t, t.X5T, Bearer
		if t.JKT {
			l.request.SentAs = DPoP
		}
		return true
	}
	return false
}

// maxVariations bounds how many sets of them are tried.
const maxVariations = 5

// compare gives a series that the new one lets more of in, and one that the old one does.
func (l *limitsOf) compare() (wider, narrower *Series) {
	varied := l.variations[:min(len(l.variations), maxVariations)]
	for set := range 1 << len(varied) {
		s := Series{}
		for n, what := range varied {
			if set>>n&1 == 1 {
				s.Each = append(s.Each, what)
			}
		}
		was, is, ok := l.tallies(&s)
		if !ok {
			continue
		}
		for _, atOnce := range []bool{false, true} {
			s.AtOnce = atOnce
			before, after := was.room(atOnce), is.room(atOnce)
			if after > before && simpler(wider, &s) {
				wider = &Series{Count: before + 1, AtOnce: atOnce, Each: s.Each}
			}
			if before > after && simpler(narrower, &s) {
				narrower = &Series{Count: after + 1, AtOnce: atOnce, Each: s.Each}
			}
		}
		if wider == nil {
			wider = paused(was, is, s.Each)
		}
		if narrower == nil {
			narrower = paused(is, was, s.Each)
		}
	}
	return wider, narrower
}

// simpler says whether a series is easier to send than the one that is there.
func simpler(there, s *Series) bool {
	return there == nil || there.AtOnce && !s.AtOnce || there.AtOnce == s.AtOnce && there.Pause != ""
}

// tally is a count that all requests of a series have in common.
type tally struct {
	zone *Zone
	cost int64
}

type tallies []tally

// firstFew is how many requests tell what a series has in common.
const firstFew = 3

// tallies sends the first few requests of a series both ways, and says whether both let
// each of them in.
func (l *limitsOf) tallies(s *Series) (was, is tallies, ok bool) {
	if was, ok = l.common(l.d.old, l.job.old, l.was, s); ok {
		is, ok = l.common(l.d.new, l.job.new, l.is, s)
	}
	return was, is, ok
}

func (l *limitsOf) common(c *Config, server *Server, like *Outcome, s *Series) (tallies, bool) {
	var costs [firstFew]map[string]tally
	for n := range costs {
		r := s.Request(l.request, int64(n))
		r.TLS = server.TLS
		o := like.among(c.Evaluate(server, r, &Judge{Now: l.d.now}))
		if o == nil {
			return nil, false
		}
		costs[n] = make(map[string]tally)
		for _, k := range o.Counters {
			if !k.Shadow {
				costs[n][k.id] = tally{k.zone, costs[n][k.id].cost + k.Cost}
			}
		}
		if len(costs[n]) != len(costs[0]) {
			return nil, false // not all of one kind
		}
	}
	var all tallies
	for id, t := range costs[0] {
		_, second := costs[1][id]
		if _, third := costs[2][id]; second && third {
			all = append(all, t)
		}
	}
	return all, true
}

// among gives the outcome of them that is like this one: of the same service, though
// others answer in its place, or of whoever lets the request in. Nil: nobody does.
func (o *Outcome) among(all []Outcome) *Outcome {
	for n := range all {
		for _, a := range all[n].Asked {
			if a.Rule == o.Rule {
				return &a.then
			}
		}
	}
	if best := MostOpen(all); best.Admits() {
		return best
	}
	return nil
}

// room is how many requests are let in before one is refused.
func (t tallies) room(atOnce bool) int64 {
	least := int64(math.MaxInt64 - 1)
	for _, k := range t {
		if k.zone.Kind != concurrency || atOnce {
			least = min(least, k.zone.most()/k.cost)
		}
	}
	return least
}

// after is how many more are let in after so many, and a pause.
func (t tallies) after(sent int64, pause time.Duration) int64 {
	least := int64(math.MaxInt64 - 1)
	for _, k := range t {
		used := sent * k.cost
		switch window := time.Duration(k.zone.Window); {
		case k.zone.Kind == concurrency, k.zone.Kind == sliding && pause >= late(window):
			used = 0
		case k.zone.Kind == gcra:
			used = max(0, used-int64(pause/max(k.zone.interval(), 1)))
		}
		least = min(least, (k.zone.most()-used)/k.cost)
	}
	return least
}

// late is when all of a window has come back: the limiter may be a bucket late, and with
// Redis the life of a lease.
func late(window time.Duration) time.Duration { return window + window/4 }

// paused gives a series that one lets more of in after a pause: its window is shorter.
func paused(strict, loose tallies, each []string) *Series {
	sent := min(strict.room(false), loose.room(false))
	if sent > maxUnits {
		return nil
	}
	for _, k := range loose {
		pause := late(time.Duration(k.zone.Window))
		if k.zone.Kind == gcra {
			pause = k.zone.interval() * 5 / 4
		}
		if more := strict.after(sent, pause); pause > 0 && more < loose.after(sent, pause) {
			return &Series{Count: sent, Each: each, Pause: pause.String(), Then: more + 1}
		}
	}
	return nil
}

// addLimit keeps the simplest request that shows a changed limit.
func (d *differ) addLimit(direction Direction, r *Request, s *Series, was, is *Outcome, what string) *Change {
	if what == "" {
		what = "lets more pass"
		if direction == Narrowed {
			what = "lets less pass"
		}
	}
	if was.asked || is.asked {
		what += ", of a service whose answer is handled"
	}
	if s == nil {
		what += " (no series of requests at one time shows it)"
	}
	return d.addSeries(direction, r, r.Token, was, is, is, "limit "+what, s)
}
