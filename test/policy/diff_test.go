package policy

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/policy"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

// TestDiffIsExact makes pairs of random configurations. Each witness has to be refused by
// the real old chain and admitted by the real new one; and what random requests find to be
// wider, diff has to have found. PAIRS and SEED are its settings.
func TestDiffIsExact(t *testing.T) {
	w := newWorld(t)
	seed := uint64(setting(t, "SEED", int(time.Now().UnixNano()&0xffffffff)))
	t.Logf("SEED=%d", seed)
	for n := range setting(t, "PAIRS", 5) {
		g := &generator{Rand: rand.New(rand.NewPCG(seed, uint64(n))), number: seed<<20 + uint64(n), upstreams: w.upstreams, keys: w.keys, roomy: true}
		first := g.config()
		before, _ := json.Marshal(first) // of plain values
		g.mutate(first)
		after, _ := json.Marshal(first)
		w.diff(g, before, after)
	}
}

func (w *world) diff(g *generator, before, after []byte) {
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
		if c.Direction == policy.Moved || len(c.What) > 6 && c.What[:6] == "limit " {
			continue
		}
		refusing, admitting := before, after
		if c.Direction == policy.Narrowed {
			refusing, admitting = after, before
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
		if was.Admits() || !is.Admits() || d.Has(policy.Widened) {
			continue
		}
		w.t.Fatalf("not found to be wider: %s\n%s\n%s", w.say(m), before, after)
	}
}

func (w *world) say(m policy.Request) string {
	return fmt.Sprintf("%s %s host %s from %v %v token %+v as %s", m.Method, m.Target, m.Host, m.Remote, m.Header, m.Token, m.SentAs)
}

// reaches sends a witness through the real chain.
func (w *world) reaches(config []byte, m policy.Request) bool {
	w.t.Helper()
	real, err := newEdge(config)
	if err != nil {
		w.t.Fatalf("%v\n%s", err, config)
	}
	r := w.parsed(&m)
	maps.Copy(r.Header, m.Header)
	if m.Token != nil {
		sent := w.sign(m.Token)
		r.Header.Set("Authorization", string(m.SentAs)+" "+sent)
		if m.SentAs == policy.DPoP {
			path, _, _ := strings.Cut(m.Target, "?")
			r.Header.Set("DPoP", w.proofKey.Proof(time.Now(), m.Method, "https://edge.test"+path, sent))
		}
	}
	answer := httptest.NewRecorder()
	real.server.ServeHTTP(answer, r)
	log.entry()
	return answer.Header().Get("X-Upstream") != "" || answer.Header().Get("X-Static") != "" && answer.Code < 300 || answer.Code == http.StatusAccepted
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
