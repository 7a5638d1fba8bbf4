package assertion_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/open-tollgate/tollgate/internal/assertion"
	"github.com/open-tollgate/tollgate/internal/jwks"
	"github.com/open-tollgate/tollgate/internal/token"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

const (
	edge   = "https://edge.test/assertions"
	issuer = "https://login.test"
)

// clock is a time that tests set.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func start() *clock { return &clock{time.Unix(1_800_000_000, 0)} }

func generate(t testing.TB) *assertion.Key {
	t.Helper()
	key, err := assertion.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newSigner(t testing.TB, c *clock, keys ...*assertion.Key) *assertion.Signer {
	t.Helper()
	s, err := assertion.New(assertion.Config{Issuer: edge, Keys: keys, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// service verifies as a backend of this name does.
func service(t testing.TB, s *assertion.Signer, name string, c *clock) *assertion.Verifier {
	t.Helper()
	keys, err := jwks.Static(s.JWKS())
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := token.NewVerifier(token.Config{Now: c.Now, Issuers: []token.Issuer{{URL: edge, Audiences: []string{name}, Keys: keys}}})
	if err != nil {
		t.Fatal(err)
	}
	return assertion.NewVerifier(tokens, edge, issuer)
}

// caller is a verified token, as the edge has it.
func caller(c *clock) *token.Token {
	date := func(at time.Time) json.Number { return json.Number(strconv.FormatInt(at.Unix(), 10)) }
	t, err := token.Introspected(map[string]any{
		"sub": "user-1", "client_id": "shop", "jti": "token-1", "grant_id": "grant-1", "aud": "edge", "scope": "a b:c", "acr": "gold",
		"exp": date(c.now.Add(5 * time.Minute)), "auth_time": date(c.now.Add(-time.Hour)), "cnf": map[string]any{"jkt": "key"},
		"authorization_details": []any{map[string]any{"type": "payment_initiation", "amount": map[string]any{"value": json.Number("1")}}},
	}, token.Issuer{URL: issuer, Audiences: []string{"edge"}}, c.now)
	if err != nil {
		panic(err)
	}
	return t
}

func TestAServiceLearnsWhoCalls(t *testing.T) {
	t.Parallel()
	c := start()
	s := newSigner(t, c, generate(t))
	sent := caller(c)
	text, fresh, err := s.Audience("payments").For(sent, "raw")
	if err != nil || !fresh {
		t.Fatal(fresh, err)
	}
	got, err := service(t, s, "payments", c).Verify(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	if got.Issuer != edge || got.Subject != sent.Subject || got.ClientID != sent.ClientID || got.ID != sent.ID || got.GrantID != sent.GrantID ||
		got.ACR != sent.ACR || !got.AuthTime.Equal(sent.AuthTime) || !reflect.DeepEqual(got.Scopes, sent.Scopes) ||
		!reflect.DeepEqual(got.Details, sent.Details) || got.Confirmation.Bound() || !got.ExpiresAt.Equal(c.now.Add(time.Minute)) {
		t.Errorf("%+v", got)
	}
	for name, verifier := range map[string]*assertion.Verifier{
		"another service":                service(t, s, "users", c),
		"a service that trusts another":  service(t, newSigner(t, c, generate(t)), "payments", c),
		"a service with later a minute":  service(t, s, "payments", &clock{c.now.Add(time.Minute)}),
		"a service that knows nobody so": knowing(t, s, c, "https://other.test"),
	} {
		if _, err := verifier.Verify(t.Context(), text); err == nil {
			t.Errorf("%s takes it", name)
		}
	}
}

func knowing(t *testing.T, s *assertion.Signer, c *clock, issuer string) *assertion.Verifier {
	keys, err := jwks.Static(s.JWKS())
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := token.NewVerifier(token.Config{Now: c.Now, Issuers: []token.Issuer{{URL: edge, Audiences: []string{"payments"}, Keys: keys}}})
	if err != nil {
		t.Fatal(err)
	}
	return assertion.NewVerifier(tokens, edge, issuer)
}

// TestAnotherIssuersSubject: what is remembered is judged as well.
func TestAnotherIssuersSubject(t *testing.T) {
	t.Parallel()
	c := start()
	s := newSigner(t, c, generate(t))
	stranger := caller(c)
	stranger.Issuer = "https://other.test" // whose user-1 is somebody else
	text, _, err := s.Audience("payments").For(stranger, "raw")
	if err != nil {
		t.Fatal(err)
	}
	v := service(t, s, "payments", c)
	for range 2 {
		_, err := v.Verify(t.Context(), text)
		var refused *token.Error
		if !errors.As(err, &refused) || refused.Reason != token.UnknownIssuer {
			t.Errorf("verified: %v", err)
		}
	}
	if got, err := v.Recall(text); got != nil || err == nil {
		t.Errorf("recalled: %v, %v", got, err)
	}
}

func TestOneSignatureServesMostOfAMinute(t *testing.T) {
	t.Parallel()
	c := start()
	s := newSigner(t, c, generate(t))
	a, caller := s.Audience("payments"), caller(c)
	ask := func(a *assertion.Audience) (string, bool) {
		text, fresh, err := a.For(caller, "raw")
		if err != nil {
			t.Fatal(err)
		}
		return text, fresh
	}
	first, _ := ask(a)
	c.now = c.now.Add(44 * time.Second)
	if again, fresh := ask(s.Audience("payments")); fresh || again != first {
		t.Error("signed anew after 44 seconds")
	}
	if other, fresh := ask(s.Audience("users")); !fresh || other == first {
		t.Error("two services get the same")
	}
	c.now = c.now.Add(time.Second)
	if next, fresh := ask(a); !fresh || next == first {
		t.Error("the last quarter of a minute is handed out")
	}
}

func TestManyAskAtOnce(t *testing.T) {
	t.Parallel()
	c := start()
	a := newSigner(t, c, generate(t)).Audience("payments")
	for range 50 { // whether any meet is chance
		askAtOnce(t, a, caller(c))
	}
}

func askAtOnce(t *testing.T, a *assertion.Audience, caller *token.Token) {
	var all sync.WaitGroup
	var mu sync.Mutex
	texts, signatures, start := make(map[string]bool), 0, make(chan struct{})
	for range 16 {
		all.Go(func() {
			<-start
			text, fresh, err := a.For(caller, "raw")
			mu.Lock()
			defer mu.Unlock()
			if texts[text] = true; fresh {
				signatures++
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	close(start)
	all.Wait()
	if len(texts) != 1 || signatures != 1 {
		t.Errorf("%d assertions, %d signatures", len(texts), signatures)
	}
}

// TestNeverOutlivesItsToken: whatever the times are, what is handed out has not ended,
// and ends no later than the token does, nor than a minute from now.
func TestNeverOutlivesItsToken(t *testing.T) {
	t.Parallel()
	key := generate(t)
	rapid.Check(t, func(t *rapid.T) {
		c := start()
		s, err := assertion.New(assertion.Config{Issuer: edge, Keys: []*assertion.Key{key}, Now: c.Now})
		if err != nil {
			t.Fatal(err)
		}
		sent := caller(c)
		sent.ExpiresAt = c.now.Add(time.Duration(rapid.IntRange(-2000, 150_000).Draw(t, "expires")) * time.Millisecond)
		for range 4 {
			text, _, err := s.Audience("payments").For(sent, "raw")
			if errors.Is(err, assertion.ErrExpired) {
				if c.now.Add(time.Second).Before(sent.ExpiresAt) {
					t.Fatalf("refused %v before the end", sent.ExpiresAt.Sub(c.now))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			end := time.Unix(expiry(t, text), 0)
			if !c.now.Before(end) || end.After(sent.ExpiresAt) || end.After(c.now.Add(time.Minute)) {
				t.Fatalf("now %v, ends %v, the token %v", c.now, end, sent.ExpiresAt)
			}
			c.now = c.now.Add(time.Duration(rapid.IntRange(0, 50_000).Draw(t, "later")) * time.Millisecond)
		}
	})
}

// TestATokenThatEndsSoon: its assertion is handed out to the end, and not after it.
func TestATokenThatEndsSoon(t *testing.T) {
	t.Parallel()
	c := start()
	a, sent := newSigner(t, c, generate(t)).Audience("payments"), caller(c)
	sent.ExpiresAt = c.now.Add(30 * time.Second)
	for after, want := range []bool{0: true, 1: false, 2: false} {
		c.now = sent.ExpiresAt.Add(-30*time.Second + time.Duration(after)*14*time.Second)
		if _, fresh, err := a.For(sent, "raw"); err != nil || fresh != want {
			t.Errorf("%d s before the end: %v, %v", 30-after*14, fresh, err)
		}
	}
	c.now = sent.ExpiresAt
	if _, _, err := a.For(sent, "raw"); !errors.Is(err, assertion.ErrExpired) {
		t.Errorf("at the end: %v", err)
	}
}

func expiry(t *rapid.T, text string) int64 {
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(text, ".")[1])
	var claims struct{ Exp int64 }
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		t.Fatal(text)
	}
	return claims.Exp
}

// TestATokenWithoutAnID has what introspection often gives: the same id for all
// assertions of one token, and another for another.
func TestATokenWithoutAnID(t *testing.T) {
	t.Parallel()
	c := start()
	s := newSigner(t, c, generate(t))
	id := func(name, raw string) string {
		opaque := &token.Token{Issuer: issuer, Subject: "u", ClientID: "c", ExpiresAt: c.now.Add(time.Minute)}
		text, _, err := s.Audience(name).For(opaque, raw)
		if err != nil {
			t.Fatal(err)
		}
		got, err := service(t, s, name, c).Verify(context.Background(), text)
		if err != nil {
			t.Fatal(err)
		}
		return got.ID
	}
	if a, b := id("payments", "one"), id("users", "one"); a != b || strings.Contains(a, "one") {
		t.Errorf("%s and %s", a, b)
	}
	if id("payments", "one") == id("payments", "two") {
		t.Error("two tokens have one id")
	}
}

// TestOneIDForTwoServices: a second identity_assertion meets, in the place of the token,
// what the first one has signed.
func TestOneIDForTwoServices(t *testing.T) {
	t.Parallel()
	c := start()
	s := newSigner(t, c, generate(t))
	sent := caller(c)
	sent.ID = ""
	var ids []string
	raw := "raw"
	for _, name := range []string{"payments", "users"} {
		var err error
		if raw, _, err = s.Audience(name).For(sent, raw); err != nil {
			t.Fatal(err)
		}
		got, err := service(t, s, name, c).Verify(context.Background(), raw)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, got.ID)
	}
	if ids[0] != ids[1] {
		t.Errorf("%q", ids)
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	c := start()
	old, next := generate(t), generate(t)
	before := newSigner(t, c, old, next)
	text, _, err := before.Audience("payments").For(caller(c), "raw")
	if err != nil {
		t.Fatal(err)
	}
	after := newSigner(t, c, next, old)
	if _, err := service(t, after, "payments", c).Verify(t.Context(), text); err != nil {
		t.Errorf("of the old key: %v", err)
	}
	text, _, err = after.Audience("payments").For(caller(c), "raw")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := service(t, before, "payments", c).Verify(t.Context(), text); err != nil {
		t.Errorf("of the next key, for who has the set of before: %v", err)
	}
	if _, err := service(t, newSigner(t, c, old), "payments", c).Verify(t.Context(), text); err == nil {
		t.Error("a key that is not published signs")
	}
}

// The files are of "openssl genpkey" and, for JSON, of RFC 8037 appendix A.1.
func TestKeyFiles(t *testing.T) {
	t.Parallel()
	c := start()
	const ed25519JWK = `{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"mine","use":"sig"}`
	for name, document := range map[string]string{"ES256": p256PEM, "EdDSA": ed25519PEM, "JWK": ed25519JWK} {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, []byte(document), 0o600); err != nil {
			t.Fatal(err)
		}
		key, err := assertion.LoadKey(path)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		s := newSigner(t, c, key)
		if strings.Contains(string(s.JWKS()), `"d"`) {
			t.Errorf("%s: the private half is published", name)
		}
		text, _, err := s.Audience("payments").For(caller(c), "raw")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := service(t, s, "payments", c).Verify(t.Context(), text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBadKeys(t *testing.T) {
	t.Parallel()
	const d, x, y = `"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"`, `"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"`, `"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"` // RFC 7515 appendix A.3
	for name, document := range map[string]string{
		"empty":                   "",
		"text":                    "canary",
		"broken PEM":              "-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----\n",
		"public":                  `{"kty":"EC","crv":"P-256","x":` + x + `,"y":` + y + `}`,
		"symmetric":               `{"kty":"oct","k":"canarycanarycanarycanarycanarycanary"}`,
		"another curve":           p384PEM,
		"other halves":            `{"kty":"EC","crv":"P-256","x":` + y + `,"y":` + x + `,"d":` + d + `}`,
		"other halves of Ed25519": `{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw"}`,
		"use":                     `{"kty":"EC","crv":"P-256","use":"enc","x":` + x + `,"y":` + y + `,"d":` + d + `}`,
		"a key set":               `{"keys":[{"kty":"EC","crv":"P-256","x":` + x + `,"y":` + y + `,"d":` + d + `}]}`,
	} {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, []byte(document), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := assertion.LoadKey(path); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
	readable := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(readable, []byte(p256PEM), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(readable, 0o640); err != nil {
		t.Fatal(err)
	}
	for want, path := range map[string]string{"0640": readable, "not a file": t.TempDir(), "no such file": "/nowhere/key"} {
		if _, err := assertion.LoadKey(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestBadSigners(t *testing.T) {
	t.Parallel()
	key := generate(t)
	for name, config := range map[string]assertion.Config{
		"no key":    {Issuer: edge},
		"one twice": {Issuer: edge, Keys: []*assertion.Key{key, key}},
		"no issuer": {Keys: []*assertion.Key{key}},
		"in clear":  {Issuer: "http://edge.test", Keys: []*assertion.Key{key}},
	} {
		if _, err := assertion.New(config); err == nil {
			t.Errorf("%s is fine", name)
		}
	}
	long := caller(start())
	long.Details = []token.Detail{{Type: "x", Raw: json.RawMessage(`{"type":"x","text":"` + strings.Repeat("a", 8<<10) + `"}`)}}
	if _, _, err := newSigner(t, start(), key).Audience("payments").For(long, "raw"); err == nil {
		t.Error("signed what no verifier takes")
	}
}

// TestTheIssuersOwnTokens pass as before, and are not asked for a subject.
func TestTheIssuersOwnTokens(t *testing.T) {
	t.Parallel()
	server := tokentest.NewIssuer(t, issuer)
	tokens, err := token.NewVerifier(token.Config{Issuers: []token.Issuer{server.Issuer()}})
	if err != nil {
		t.Fatal(err)
	}
	v := assertion.NewVerifier(tokens, edge, issuer)
	raw := server.Token()
	if got, err := v.Recall(raw); got != nil || err != nil {
		t.Errorf("recalled before: %v, %v", got, err)
	}
	if _, err := v.Verify(t.Context(), raw); err != nil {
		t.Error(err)
	}
	if got, err := v.Recall(raw); got == nil || err != nil {
		t.Errorf("recalled: %v, %v", got, err)
	}
}

// BenchmarkRemembered is what most requests cost.
func BenchmarkRemembered(b *testing.B) {
	c := start()
	a, caller := newSigner(b, c, generate(b)).Audience("payments"), caller(c)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := a.For(caller, "raw"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSigned is what one request in 45 seconds costs, for each token and service.
func BenchmarkSigned(b *testing.B) {
	c := start()
	a := newSigner(b, c, generate(b)).Audience("payments")
	forgetful := &token.Token{Issuer: issuer, Subject: "user-1", ClientID: "shop", ID: "token-1", ExpiresAt: c.now.Add(time.Hour)}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := a.For(forgetful, "raw"); err != nil {
			b.Fatal(err)
		}
	}
}
