package policy

import (
	"math/rand/v2"
	"net/netip"
)

// oracle decides what a walk leaves open: what has not been said of a request, and what
// cannot be analysed. It goes through all ways, one walk at a time.
type oracle struct {
	script, sizes []int
	at            int
	roams         *rand.Rand      // nil: each way is gone, the last choice changes first
	unknowns      map[string]bool // decided in this walk: one question has one answer

	methods   []string
	queries   []string
	addresses []netip.Addr
	fields    map[string][][]string
	lines     map[string]*lines
	filled    []string // parameters
	hosts     *hostClasses
	ports     []string // of the host of all its walks
	caught    *caught  // what else can fail; nil: nothing leads on

	quiet  bool             // nobody reads the steps
	living map[listAt][]int // for the host of all its walks
	looked int              // routes that were looked at for that
}

func (o *oracle) choose(n int) int {
	if o.at == len(o.script) {
		first := 0
		if o.roams != nil {
			first = o.roams.IntN(n)
		}
		o.script, o.sizes = append(o.script, first), append(o.sizes, n)
	}
	o.at++
	return o.script[o.at-1]
}

func (o *oracle) unknown(what string) bool {
	if decided, ok := o.unknowns[what]; ok {
		return decided
	}
	if o.unknowns == nil {
		o.unknowns = make(map[string]bool)
	}
	decided := o.choose(2) == 0
	o.unknowns[what] = decided
	return decided
}

// rewind begins the next walk, if there is another way to go.
func (o *oracle) rewind() bool {
	clear(o.unknowns)
	o.at = 0
	if o.roams != nil {
		o.script, o.sizes = o.script[:0], o.sizes[:0]
		return true
	}
	for n := len(o.script) - 1; n >= 0; n-- {
		if o.script[n]+1 < o.sizes[n] {
			o.script[n]++
			o.script, o.sizes = o.script[:n+1], o.sizes[:n+1]
			return true
		}
	}
	return false
}

// roam has the next walks choose at random, the same in each run: where there are more ways than
// can be gone, those that came first differ in their last choices alone.
func (o *oracle) roam() {
	o.roams = rand.New(rand.NewPCG(1, uint64(len(o.script))))
	o.script, o.sizes = o.script[:0], o.sizes[:0]
}

// pick gives one of the values, and none where there is none.
func pick[T any](o *oracle, values []T) (value T) {
	if len(values) == 0 {
		return value
	}
	return values[o.choose(len(values))]
}

// undecided says whether a part of the request is left open, for the last time.
func (r *Request) undecided(part string) bool {
	if r.open == nil || r.open[part] {
		return false
	}
	r.open[part] = true
	return true
}

// maxWays bounds how many ways one request is followed: what cannot be analysed doubles
// them each time.
const maxWays = 256

// Evaluate gives what the edge does with a request: one outcome, or several where
// something on its way cannot be analysed. The judge may be nil: then each token passes.
func (c *Config) Evaluate(s *Server, r Request, j *Judge) []Outcome {
	var all []Outcome
	o := new(oracle)
	for {
		request := r
		all = append(all, c.walkRequest(s, &request, j, o))
		if len(all) == maxWays || !o.rewind() {
			return all
		}
	}
}

// MostOpen gives the outcome that counts where there are several.
func MostOpen(all []Outcome) *Outcome {
	best := &all[0]
	for n := range all {
		if all[n].rank() > best.rank() {
			best = &all[n]
		}
	}
	return best
}

// rank is the higher the less stands in the way.
func (o *Outcome) rank() int {
	if !o.Admits() {
		return 0
	}
	rank := 1_000_000
	if o.tokens != nil {
		rank -= 1000
	}
	for _, r := range o.requires {
		rank -= 1 + len(r.Scopes) + len(r.Claims) + len(r.ACR) + len(r.AuthorizationDetails)
	}
	return rank
}
