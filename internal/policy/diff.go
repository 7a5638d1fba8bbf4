package policy

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// Direction is how access changes.
type Direction string

// The directions. What is moved goes to another service, under another name, or is counted otherwise.
const (
	Widened  Direction = "widened"
	Narrowed Direction = "narrowed"
	Moved    Direction = "moved"
)

// Change is a difference between two configurations, and a request that shows it.
type Change struct {
	Direction Direction `json:"direction"`
	API       string    `json:"api,omitempty"` // of the configuration that lets it in
	What      string    `json:"what"`
	// Part is what is another, of a request that both let in: "request" (its method and target),
	// "field NAME", "transport.tls", "root"... None where it is about who is let in, and to whom.
	Part string `json:"part,omitempty"`
	// Failing is how the request has to fail on its way, where error routes lead it on from there.
	Failing string      `json:"failing,omitempty"`
	Rule    Step        `json:"rule"`             // that lets it in
	Method  string      `json:"method,omitempty"` // none: a setting, which no single request shows
	URL     string      `json:"url,omitempty"`
	Header  http.Header `json:"header,omitempty"`
	Address string      `json:"address,omitempty"`
	Token   string      `json:"token,omitempty"`
	Old     string      `json:"old"`
	New     string      `json:"new"`
	More    int         `json:"more,omitempty"` // further requests of the same kind
	// Series says how often the request has to be sent, where a limit has changed.
	Series *Series `json:"series,omitempty"`

	// Witness is the request itself: refused by one configuration and admitted by the other.
	Witness Request `json:"-"`
}

// DiffResult is all that is different.
type DiffResult struct {
	// Before and After name the two policies.
	Before  string    `json:"before"`
	After   string    `json:"after"`
	Allow   Allow     `json:"allow"` // names the second where reload_guard is on
	Changes []*Change `json:"changes"`
	Atoms   int       `json:"atoms"` // requests that were compared
	// Open names what could not be analysed: it counts as open, in both.
	Open []string `json:"open,omitempty"`
	// Cut says that there were more ways than could be followed, where these requests go.
	Cut []string `json:"cut,omitempty"`
	// Complete is false where either of them is not empty: what was not followed may be wider.
	Complete bool `json:"complete"`

	looked int // at how many routes
}

// Opens says whether somebody may get further than before: a change does, or not all
// could be compared.
func (d *DiffResult) Opens() bool { return d.Has(Widened) || !d.Complete }

// Has says whether there is a change of the direction.
func (d *DiffResult) Has(direction Direction) bool {
	return slices.ContainsFunc(d.Changes, func(c *Change) bool { return c.Direction == direction })
}

// Diff compares what two configurations let through: for each atom, who gets where.
func Diff(before, after *Config, now time.Time) *DiffResult {
	return DiffWithin(context.Background(), before, after, now, runtime.GOMAXPROCS(0))
}

// DiffWithin is Diff on so many cores and for as long as the context goes on. What was not
// compared then makes the result incomplete.
func DiffWithin(ctx context.Context, before, after *Config, now time.Time, cores int) *DiffResult {
	d := &differ{old: before, new: after, now: now, changes: make(map[string]*Change), limited: make(map[limitedKey]*shownLimit),
		holders: make(map[string]*holders), unreads: make(map[string]unreadPair), renamed: make(map[[2]string][2]*API)}
	d.pairs()
	d.settings()
	var wait sync.WaitGroup
	work := make(chan job)
	for range cores {
		wait.Go(func() {
			for j := range work {
				if ctx.Err() == nil {
					d.survive(ctx, j)
				}
				runtime.Gosched() // who is served goes first
			}
		})
	}
	d.jobs(ctx, work)
	close(work)
	wait.Wait()
	d.unread()
	if ctx.Err() != nil {
		d.cut = append(d.cut, "all, in the time there was")
	}
	return d.result()
}

// survive compares, whatever a configuration that nothing has validated yet does to the
// model: this runs in an edge that serves, and a panic here would end it.
func (d *differ) survive(ctx context.Context, j job) {
	defer func() {
		if fault := recover(); fault != nil {
			d.mu.Lock()
			d.cut = append(d.cut, fmt.Sprintf("%s%s, which the comparison failed at: %v", j.host, j.path, fault))
			d.mu.Unlock()
		}
	}()
	d.compare(ctx, j)
}

// maxWalks bounds how many ways are gone in all, which takes half a minute on two cores. Each path has
// an equal part of it, and minWays at the least.
const (
	maxWalks = 1 << 20
	minWays  = 64
)

func (d *differ) jobs(ctx context.Context, work chan<- job) {
	t := newTextFinder(ctx)
	pairs := slices.Concat(d.servers, d.taken)
	for _, p := range pairs {
		if p.new == nil && len(p.old.Listen) > 0 && d.isTaken(p.old) {
			continue // somebody listens
		}
		classes, whole := hostsOf(t, p.all())
		if !whole {
			d.cannotFollow("hosts, of which matchers can tell too many apart, or that a handler makes of others")
		}
		for _, host := range classes.hosts {
			a := p.atoms(t, host)
			a.hosts = classes
			d.miss(a.missed)
			for _, cut := range a.cut {
				d.cannotFollow(host + ": " + cut)
			}
			ways := max(minWays, min(maxWays*16, maxWalks/len(pairs)/len(classes.hosts)/max(1, len(a.paths))))
			for _, path := range a.paths {
				if ctx.Err() != nil {
					return
				}
				work <- job{p, a, host, path, ways}
			}
		}
	}
}

// cannotFollow notes what was not compared to the end.
func (d *differ) cannotFollow(what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Contains(d.cut, what) {
		d.cut = append(d.cut, what)
	}
}

// miss notes what is compared by no request.
func (d *differ) miss(what []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open = unique(append(d.open, what...))
}

type pair struct{ old, new *Server }

func (p pair) all() []*Server {
	return slices.DeleteFunc([]*Server{p.old, p.new}, func(s *Server) bool { return s == nil })
}

// atoms gives those for a host: what is for others has no part in them, where no handler
// can make one host of another.
func (p pair) atoms(t *textFinder, host string) *atoms {
	hosts := []string{host}
	for _, s := range p.all() {
		if s.setsHost && len(s.setHosts) == 0 {
			return newAtoms(t, nil, p.all()...)
		}
		hosts = append(hosts, s.setHosts...)
	}
	return newAtoms(t, hosts, p.all()...)
}

type job struct {
	pair
	atoms      *atoms
	host, path string
	ways       int // that are gone one after the other, and as many again at random if there are more
}

type differ struct {
	old, new *Config
	servers  []pair
	taken    []pair // of which the new one gets what the old one got, beside its own
	now      time.Time

	mu      sync.Mutex
	changes map[string]*Change
	limited map[limitedKey]*shownLimit
	holders map[string]*holders // of limits
	unreads map[string]unreadPair
	renamed map[[2]string][2]*API // that requests went to before, and go to
	count   int
	looked  int // routes that were looked at for a host and a path
	open    []string
	cut     []string
}

// compare goes all ways that requests for a host and a path can go in both, in the time
// there is.
func (d *differ) compare(ctx context.Context, j job) {
	o, ways := j.atoms.oracle(), 0
	for {
		r := j.atoms.request(j.all()[len(j.all())-1], j.host, j.path)
		was, is := d.walk(d.old, j.old, &r, o), d.walk(d.new, j.new, &r, o)
		r.complete(j.atoms)
		d.judge(j, &r, was, is)
		d.beside(was, is)
		ways++
		if ctx.Err() != nil || !o.rewind() || ways == 2*j.ways {
			break
		}
		if ways == j.ways {
			o.roam()
		}
	}
	d.mu.Lock()
	if o.roams != nil {
		r := j.atoms.request(j.all()[len(j.all())-1], j.host, j.path)
		d.cut = append(d.cut, r.URL())
	}
	d.count += ways
	d.looked += o.looked
	d.mu.Unlock()
}

// walk sends the request through a configuration; without a server nobody answers.
func (d *differ) walk(c *Config, s *Server, r *Request, o *oracle) *Outcome {
	if s == nil {
		return &Outcome{Kind: Refused, Rule: Step{What: "nobody listens"}}
	}
	secure := r.TLS
	r.TLS = s.TLS
	out := c.walkRequest(s, r, nil, o)
	r.TLS = secure
	return &out
}

// settled is the outcome of a complete request of whose way something was not known before: of
// what a handler makes of it, it shows that. An example is to be true.
func (d *differ) settled(c *Config, s *Server, r *Request, o *Outcome) *Outcome {
	if len(o.Open) == 0 || r.failure.by != nil {
		return o
	}
	complete := *r
	if out := d.walk(c, s, &complete, new(oracle)); len(out.Open) == 0 {
		return out
	}
	return o
}

// judge compares two outcomes of one request.
func (d *differ) judge(j job, r *Request, was, is *Outcome) {
	if len(was.Open)+len(is.Open) > 0 {
		d.mu.Lock()
		d.open = unique(slices.Concat(d.open, was.Open, is.Open))
		d.mu.Unlock()
		was, is = d.settled(d.old, j.old, r, was), d.settled(d.new, j.new, r, is)
	}
	d.asked(j, r, was, is)
	d.told(r, was, is)
	if r.failure.by != nil {
		d.caught(r, was, is)
		return
	}
	switch {
	case !was.Admits() && !is.Admits():
		d.answers(r, was, is)
		return
	case !was.Admits():
		d.admit(Widened, r, was, is, is, "was refused and is let in")
		return
	case !is.Admits():
		d.admit(Narrowed, r, was, is, was, "was let in and is refused")
		return
	}
	d.demands(r, was, is, "")
	d.elsewhere(r, was, is)
	d.limits(j, r, was, is)
}

// caught compares where error routes lead to a request that fails on its way.
func (d *differ) caught(r *Request, was, is *Outcome) {
	before, after := was.failed && was.Admits(), is.failed && is.Admits()
	switch {
	case !before && !after: // only ways from an error on: the others are compared without one
		if was.failed && is.failed {
			d.answers(r, was, is)
		}
	case !was.Admits():
		d.admit(Widened, r, was, is, is, "was refused and is let in")
	case !is.Admits():
		d.admit(Narrowed, r, was, is, was, "was let in and is refused")
	default:
		d.demands(r, was, is, "")
		if before && after {
			d.elsewhere(r, was, is)
		}
	}
}

// demands compares what tokens two ways ask for. The words say whose they are.
func (d *differ) demands(r *Request, was, is *Outcome, whose string) {
	before, after := demandOf(was), demandOf(is)
	if before.equals(after) {
		return
	}
	if t, found := after.beyond(before, d.now); found {
		d.add(Widened, r, t, was, is, is, whose+"needs less than before")
	}
	if t, found := before.beyond(after, d.now); found {
		d.add(Narrowed, r, t, was, is, was, whose+"needs more than before")
	}
}

// admit is for what only one of the two lets in, if any token is good enough there.
func (d *differ) admit(direction Direction, r *Request, was, is, by *Outcome, what string) {
	demand := demandOf(by)
	if demand.public {
		d.add(direction, r, nil, was, is, by, what)
		return
	}
	if all := demand.least(d.now); len(all) > 0 {
		d.add(direction, r, all[0], was, is, by, what)
	}
}

func (o *Outcome) place() string { return strings.TrimSpace("api " + o.API + ": " + o.String()) }

// add keeps the simplest request of a kind, and counts the rest.
func (d *differ) add(direction Direction, r *Request, t *Token, was, is, by *Outcome, what string) {
	d.addSeries(direction, r, t, was, is, by, what, nil)
}

func (d *differ) addSeries(direction Direction, r *Request, t *Token, was, is, by *Outcome, what string, s *Series) *Change {
	return d.addChange(r, t, was, is, &Change{Direction: direction, API: by.API, What: what, Rule: by.Rule, Old: was.Summary(), New: is.Summary(), Series: s})
}

func (d *differ) addChange(r *Request, t *Token, was, is *Outcome, c *Change) *Change {
	if c.Failing = r.failure.String(); c.Failing != "" {
		c.What += ", where " + c.Failing
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	key := string(c.Direction) + c.Part + c.What + was.Rule.At + "|" + is.Rule.At + "|" + c.API
	before := d.changes[key]
	switch {
	case before == nil:
		c.witness(r, t)
		d.changes[key] = c
		return c
	case before.Witness.plainer(r):
		before.More++
	default:
		c.More = before.More + 1
		c.witness(r, t)
		*before = *c
	}
	return before
}

func (d *differ) result() *DiffResult {
	r := &DiffResult{Before: d.old.Hash, After: d.new.Hash, Allow: d.new.Allow(), Changes: []*Change{}, Atoms: d.count, Open: d.open, Cut: d.cut, Complete: len(d.open)+len(d.cut) == 0, looked: d.looked}
	for _, c := range d.changes {
		r.Changes = append(r.Changes, c)
	}
	rank := map[Direction]string{Widened: "1", Narrowed: "2", Moved: "3"}
	slices.SortFunc(r.Changes, func(a, b *Change) int {
		return strings.Compare(rank[a.Direction]+a.API+a.URL+a.Part+a.What+a.Rule.At, rank[b.Direction]+b.API+b.URL+b.Part+b.What+b.Rule.At)
	})
	slices.Sort(r.Open)
	slices.Sort(r.Cut)
	return r
}
