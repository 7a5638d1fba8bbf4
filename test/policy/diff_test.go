package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/caddymodules/sandbox"
	"github.com/open-tollgate/tollgate/internal/policy"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

// TestDiffIsExact makes pairs of random configurations: every other one by a change of a rule
// that is reached, forwards or backwards, the rest by any change at all, most of which touch
// what nothing reaches. Each witness has to be refused by the real old chain and admitted by
// the real new one; and what random requests find to be wider, diff has to have found.
// PAIRS and SEED are its settings.
func TestDiffIsExact(t *testing.T) {
	w := newWorld(t)
	seed := uint64(setting(t, "SEED", 3)) // a cheap one; make soak takes another each time
	t.Logf("SEED=%d", seed)
	pairs, widened, equal := setting(t, "PAIRS", 2*len(sharps)), 0, 0
	for n := range pairs {
		g := &generator{Rand: rand.New(rand.NewPCG(seed, uint64(n))), number: seed<<20 + 1<<19 + uint64(n), upstreams: w.upstreams, keys: w.keys, roots: w.roots, roomy: true, shallow: setting(t, "SHALLOW", 1)}
		first := g.config()
		p := g.plant(first)
		before, _ := json.Marshal(first) // of plain values
		change, sharply := sharps[n/2%len(sharps)], n%2 == 0
		if sharply {
			change.make(p)
			first["apps"].(object)["http"].(object)["servers"].(object)["srv"].(object)["routes"] = *p.routes
		} else {
			g.mutate(first)
		}
		after, _ := json.Marshal(first)
		want := change.want
		if sharply && (n/2+n/2/len(sharps))%2 == 1 { // backwards; forwards in the next round
			before, after = after, before
			want = map[policy.Direction]policy.Direction{policy.Widened: policy.Narrowed, policy.Narrowed: policy.Widened, policy.Moved: policy.Moved}[want]
		}
		d := w.diff(g, before, after)
		if sharply && (want == "" && len(d.Changes) > 0 || want != "" && !d.Has(want)) {
			t.Fatalf("pair %d, %s: want %q, got %+v\n%s\n%s", n, change.name, want, d, before, after)
		}
		if shown := slices.ContainsFunc(d.Changes, func(c *policy.Change) bool { return c.Direction == want && c.Series != nil }); sharply && change.series && !shown {
			t.Fatalf("pair %d, %s: no series of requests shows it", n, change.name)
		}
		if d.Has(policy.Widened) {
			widened++
		}
		if len(d.Changes) == 0 {
			equal++
		}
	}
	t.Logf("%d pairs: %d widened, %d equal; %d series sent, %d shown to go elsewhere, %d to ask another service", pairs, widened, equal, w.replayed, w.moved, w.asked)
	if pairs < 2*len(sharps) {
		return // too few for each change to be among them
	}
	if w.moved < pairs/10 {
		t.Errorf("of %d pairs only %d have been shown to go elsewhere", pairs, w.moved)
	}
	if widened < pairs/5 || equal < pairs/10 {
		t.Errorf("of %d pairs %d widened and %d equal: the changes have no variety", pairs, widened, equal)
	}
}

func (w *world) diff(g *generator, before, after []byte) *policy.DiffResult {
	w.t.Helper()
	oldModel, err := policy.Parse(before)
	if err != nil {
		w.t.Fatal(err)
	}
	newModel, err := policy.Parse(after)
	if err != nil {
		w.t.Fatal(err)
	}
	d := policy.Diff(oldModel, newModel, time.Now())
	for _, c := range d.Changes {
		if c.Method == "" || isUnseen(oldModel, c.Witness) || isUnseen(newModel, c.Witness) { // a setting, or what no answer shows
			continue
		}
		if c.Failing != "" && (!strings.HasPrefix(c.Failing, "access_token refuses (401)") || c.Witness.Token != nil) {
			continue // a request alone does not make it fail
		}
		refusing, admitting := before, after
		if c.Direction == policy.Narrowed {
			refusing, admitting = after, before
		}
		if strings.HasPrefix(c.What, "limit ") {
			w.replay(c, refusing, admitting)
			continue
		}
		if strings.HasPrefix(c.What, "a service is ") || strings.HasPrefix(c.What, "a service whose answer is handled needs") {
			w.asksMore(c, refusing, admitting)
			continue
		}
		if c.Part != "" || c.Direction == policy.Moved {
			w.elsewhere(c, before, after)
			continue
		}
		if w.reaches(refusing, c.Witness) {
			w.t.Fatalf("%s: the witness is let in before: %+v\n%s\n%s", c.Direction, c, before, after)
		}
		if !w.reaches(admitting, c.Witness) {
			w.t.Fatalf("%s: the witness is refused: %+v\n%s\n%s", c.Direction, c, before, after)
		}
	}
	for range 300 {
		_, m := w.request(g, oldModel.Servers[0].TLS)
		j := &policy.Judge{Now: time.Now()}
		was, is := oldModel.Evaluate(oldModel.Servers[0], m, j)[0], newModel.Evaluate(newModel.Servers[0], m, j)[0]
		if !was.Admits() && is.Admits() && !slices.ContainsFunc(d.Changes, widens) {
			w.t.Fatalf("not found to be wider: %s\n%s\n%s", w.say(m), before, after)
		}
		if w.movesInModel(&m, &was, &is) && !slices.ContainsFunc(d.Changes, moves) && d.Complete {
			w.t.Fatalf("not found to go elsewhere: %s\n%+v\n%+v\n%s\n%s", w.say(m), was.Sent, is.Sent, before, after)
		}
	}
	if len(d.Changes) == 0 && d.Complete {
		if other := w.same(g, before, after, oldModel.Servers[0].TLS, 30); other != "" {
			w.t.Fatalf("called equal: %s\n%s\n%s", other, before, after)
		}
	}
	return d
}

// isUnseen says whether something on the way of a request is not analysed, as a Host that may have a
// port, or it leads to a file that is not there.
func isUnseen(c *policy.Config, m policy.Request) bool {
	return slices.ContainsFunc(c.Evaluate(c.Servers[0], m, nil), func(o policy.Outcome) bool {
		if o.Kind == policy.Files {
			_, there := fileOf(&o, &m)
			return !there
		}
		return len(o.Open) > 0
	})
}

// widens says whether a change lets somebody in, other than more often.
func widens(c *policy.Change) bool {
	return c.Direction == policy.Widened && !strings.HasPrefix(c.What, "limit ") && c.Part == ""
}

// moves says whether a change has a request go elsewhere, or as something else.
func moves(c *policy.Change) bool { return c.Direction == policy.Moved || c.Part != "" }

func (w *world) say(m policy.Request) string {
	return fmt.Sprintf("%s %s host %s from %v %v token %+v as %s", m.Method, m.Target, m.Host, m.Remote, m.Header, m.Token, m.SentAs)
}

// maxReplay bounds the series that are sent; those of the random limits have a million.
const maxReplay = 100

// replay sends a series through both chains: the last request of it is refused by one and
// let in by the other, and none before it is refused.
func (w *world) replay(c *policy.Change, refusing, admitting []byte) {
	w.t.Helper()
	s := c.Series
	if s == nil || s.AtOnce || s.Count+s.Then > maxReplay {
		return
	}
	pause := time.Duration(0)
	if s.Pause != "" {
		var err error
		if pause, err = time.ParseDuration(s.Pause); err != nil {
			w.t.Fatal(err)
		}
		if pause > time.Second {
			return
		}
	}
	handled := strings.Contains(c.What, "whose answer is handled") // no answer shows it
	heard := make(map[bool]int)                                    // by how many services, of the last request
	for config, want := range map[*[]byte]bool{&refusing: false, &admitting: true} {
		real := w.fresh(*config)
		defer real.Close()
		for n := range s.Count + s.Then {
			if n == s.Count {
				time.Sleep(pause)
			}
			expected := want || n < s.Count+s.Then-1
			w.hear()
			got := w.send(real, s.Request(c.Witness, n))
			if heard[want] = len(w.hear()); got != expected && !handled {
				w.t.Fatalf("%s: %s sent %s: request %d is let in: %v\n%s %s with %s\n%s", c.Direction, c.What, s, n+1, got, c.Method, c.URL, c.Token, *config)
			}
		}
	}
	if handled && heard[false] >= heard[true] {
		w.t.Fatalf("%s: %s sent %s: the last request is heard %d times, and %d times\n%s\n%s", c.Direction, c.What, s, heard[false], heard[true], refusing, admitting)
	}
	w.replayed++
}

// reaches sends a witness through the real chain.
func (w *world) reaches(config []byte, m policy.Request) bool {
	w.t.Helper()
	return w.admitted(w.first(config, m))
}

// first is what a request of the model's is answered that nothing came before.
func (w *world) first(config []byte, m policy.Request) sandbox.Answer {
	w.t.Helper()
	return w.answerTo(config, w.sent(&m))
}

// answerTo is what a request is answered that nothing came before.
func (w *world) answerTo(config []byte, r *http.Request) sandbox.Answer {
	w.t.Helper()
	real := w.fresh(config)
	defer real.Close()
	return real.serve(w.t, r)
}

// fresh is an edge whose planted API has counted nothing: counts belong to an API's name,
// and go on where the last configuration has left them.
func (w *world) fresh(config []byte) *edge {
	w.t.Helper()
	w.edges++
	config = bytes.ReplaceAll(config, []byte(`"name":"planted"`), fmt.Appendf(nil, `"name":"planted%d"`, w.edges))
	real, err := newEdge(config)
	if err != nil {
		w.t.Fatalf("%v\n%s", err, config)
	}
	return real
}

func (w *world) send(real *edge, m policy.Request) bool {
	w.t.Helper()
	return w.admitted(w.answer(real, m))
}

// published are the kinds of documents that the edge itself has.
var published = map[string]bool{"application/json": true, "application/jwk-set+json": true}

func (w *world) admitted(answer sandbox.Answer) bool {
	return published[answer.Header().Get("Content-Type")] || reached(answer) != "" || answer.Header().Get("X-Static") != "" && answer.Code < 300 || answer.Code == http.StatusAccepted
}

// answer is the real chain's to a request of the model's.
func (w *world) answer(real *edge, m policy.Request) sandbox.Answer {
	w.t.Helper()
	return real.serve(w.t, w.sent(&m))
}

// sent is a request of the model's as it is sent, with what proves its token.
func (w *world) sent(m *policy.Request) *http.Request {
	w.t.Helper()
	r := w.parsed(m)
	maps.Copy(r.Header, m.Header)
	if m.Token != nil {
		sent := w.sign(m.Token)
		r.Header.Set("Authorization", string(m.SentAs)+" "+sent)
		if m.SentAs == policy.DPoP {
			path, _, _ := strings.Cut(m.Target, "?")
			r.Header.Set("DPoP", w.proofKey.Proof(time.Now(), m.Method, "https://edge.test"+path, sent))
		}
	}
	return r
}

// sign makes the token that a witness speaks of.
func (w *world) sign(t *policy.Token) string {
	now := time.Now()
	for _, issuer := range w.issuers {
		if issuer.URL != t.Issuer {
			continue
		}
		claims := map[string]any{"iss": t.Issuer, "aud": t.Audience, "sub": t.Subject, "client_id": t.Client, "jti": fmt.Sprint(rand.Int64()), "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
		maps.Copy(claims, t.Claims)
		if len(t.Scopes) > 0 {
			claims["scope"] = strings.Join(t.Scopes, " ")
		}
		if t.ACR != "" {
			claims["acr"] = t.ACR
		}
		if !t.AuthTime.IsZero() {
			claims["auth_time"] = t.AuthTime.Unix()
		}
		var details []any
		for _, kind := range t.Details {
			details = append(details, map[string]any{"type": kind})
		}
		if details != nil {
			claims["authorization_details"] = details
		}
		confirmation := map[string]any{}
		if t.JKT {
			confirmation["jkt"] = w.proofKey.JKT()
		}
		if t.X5T {
			confirmation["x5t#S256"] = thumbprint(w.cert.Raw)
		}
		if len(confirmation) > 0 {
			claims["cnf"] = confirmation
		}
		key := issuer.Key()
		switch t.Algorithm {
		case "ES256":
			key = w.es256[issuer]
		case "EdDSA":
			key = w.eddsa[issuer]
		}
		return issuer.Sign(claims, tokentest.SignedBy(key), tokentest.Header("kid", key.ID), tokentest.Header("alg", key.Algorithm))
	}
	w.t.Fatalf("no issuer %s", t.Issuer)
	return ""
}
