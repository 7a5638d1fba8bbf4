package policy

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/caddymodules/sandbox"
	"github.com/open-tollgate/tollgate/internal/policy"
)

// whole is all that an answer shows: by whom it is, and what was asked.
func whole(answer sandbox.Answer) string {
	api := answer.API
	if strings.HasPrefix(api, "planted") { // and a number of its own for each edge
		api = "planted"
	}
	return fmt.Sprintf("api %q status %d upstream %q location %q asked %s", api, answer.Code, answer.Header().Get("X-Upstream"), answer.Header().Get("Location"), reached(answer))
}

// isShown says whether a part is one that a single request shows; of the others, only that the
// request is let in by both.
func isShown(part string) bool {
	return part == "" || part == "request" || part == "root" || strings.HasPrefix(part, "field ")
}

// elsewhere sends the witness of what is moved both ways: another thing is reached.
func (w *world) elsewhere(c *policy.Change, before, after []byte) {
	w.t.Helper()
	if part, asked := strings.CutPrefix(c.Part, "asked "); asked {
		if isShown(part) && !strings.HasSuffix(c.What, "not analysed") {
			w.asksOtherwise(c, before, after)
		}
		return
	}
	was, is := w.first(before, c.Witness), w.first(after, c.Witness)
	switch {
	case c.Part != "" && w.admitted(was) != w.admitted(is) && c.Witness.Token == nil && !strings.HasPrefix(reached(was)+reached(is), "file:"):
		w.t.Fatalf("%s: not let in by both: %+v\n%s\n%s\n%s\n%s", c.Direction, c, whole(was), whole(is), before, after)
	case c.Part == "body" || c.Part == "answer" || strings.HasPrefix(c.Part, "field ") && !w.admitted(was) && !w.admitted(is):
		if w.told++; saysItself(was) == saysItself(is) {
			w.untold++
		}
		return
	case !w.admitted(was) && !w.admitted(is), !isShown(c.Part), strings.HasSuffix(c.What, "not analysed"):
		return // no token is good enough for both, or no request shows it
	case whole(was) == whole(is):
		w.t.Fatalf("%s: the same is reached: %+v\n%s\n%s\n%s", c.Direction, c, whole(was), before, after)
	}
	w.moved++
}

// asksMore sends the witness of a service that only one of them asks, or asks more often,
// whatever is answered then.
func (w *world) asksMore(c *policy.Change, less, more []byte) {
	w.t.Helper()
	if strings.HasSuffix(c.What, "could refuse") { // fewer are wider
		less, more = more, less
	}
	services := func(config []byte) map[string]int {
		all := make(map[string]int)
		for _, heard := range w.heardOf(config, c.Witness) {
			all[heard[:1]]++
		}
		return all
	}
	before, after := services(less), services(more)
	for name := range after {
		if after[name] > before[name] {
			w.asked++
			return
		}
	}
	w.t.Fatalf("%s: %v are asked by one, and %v by the other: %+v\n%s\n%s", c.Direction, before, after, c, less, more)
}

// asksOtherwise sends the witness of a service that both ask, though perhaps neither tells its answer.
func (w *world) asksOtherwise(c *policy.Change, before, after []byte) {
	w.t.Helper()
	was, is := w.heardOf(before, c.Witness), w.heardOf(after, c.Witness)
	if len(was) > 0 && slices.Equal(was, is) {
		w.t.Fatalf("%s: services are asked the same: %+v\n%v\n%s\n%s", c.Direction, c, was, before, after)
	}
	w.moved++
}

// heardOf is what services are asked when a witness is sent.
func (w *world) heardOf(config []byte, witness policy.Request) []string {
	w.t.Helper()
	w.hear()
	w.first(config, witness)
	return w.heardInOrder()
}

// same sends random requests through both, and gives the first that reaches something else, or
// is answered otherwise.
func (w *world) same(g *generator, before, after []byte, secure bool, requests int) string {
	w.t.Helper()
	old, new := w.fresh(before), w.fresh(after)
	defer old.Close()
	defer new.Close()
	for range requests {
		_, m := w.request(g, secure)
		if m.Token != nil && m.Token.Issuer == "https://nobody.test" {
			m.Token = nil
		}
		w.hear()
		was := w.answer(old, m)
		before := w.hear()
		is := w.answer(new, m)
		if after := w.hear(); !slices.Equal(before, after) {
			return fmt.Sprintf("%s\nold asks %q\nnew asks %q", w.say(m), before, after)
		}
		if saysItself(was) != saysItself(is) || whole(was) != whole(is) && (w.admitted(was) || w.admitted(is) || g.ownAnswers(was, is)) {
			return fmt.Sprintf("%s\nold: %s, says %s\nnew: %s, says %s", w.say(m), whole(was), saysItself(was), whole(is), saysItself(is))
		}
	}
	return ""
}

// ownAnswers says whether both are answers that a configuration has written out, or one leads
// elsewhere. Of refusals, how they are told is not compared: nobody gets anywhere by either.
func (g *generator) ownAnswers(was, is sandbox.Answer) bool {
	wrote := func(answer sandbox.Answer, field string) bool { return answer.Header().Get(field) != "" }
	return !g.talking && wrote(was, "X-Static") && wrote(is, "X-Static") || wrote(was, "Location") || wrote(is, "Location")
}

// movesInModel says whether the model has a request reach something else.
func (w *world) movesInModel(m *policy.Request, was, is *policy.Outcome) bool {
	if !was.Admits() || !is.Admits() {
		return false
	}
	before, knew := w.says(was, m)
	after, knows := w.says(is, m)
	return knew && knows && before != after
}

// TestEqualIsHeldToTheEdge shows that the comparison of what is reached can fail: it finds each
// change of sharps that moves something.
func TestEqualIsHeldToTheEdge(t *testing.T) {
	w := newWorld(t)
	for n, change := range sharps {
		if change.want != policy.Moved && !change.chooses {
			continue
		}
		g := &generator{Rand: rand.New(rand.NewPCG(11, uint64(n))), number: uint64(time.Now().UnixNano()), upstreams: w.upstreams, keys: w.keys, roots: w.roots, roomy: true}
		config := g.config()
		p := g.plant(config)
		before, _ := json.Marshal(config) // of plain values
		change.make(p)
		after, _ := json.Marshal(config)
		found := slices.ContainsFunc(make([]int, 20), func(int) bool { return w.same(g, before, after, true, 60) != "" })
		if !found {
			t.Errorf("nobody notices that %s", change.name)
		}
	}
}
