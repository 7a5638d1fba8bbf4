package access_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/access"
	"github.com/open-tollgate/tollgate/internal/dpop"
	"github.com/open-tollgate/tollgate/internal/jose"
	"github.com/open-tollgate/tollgate/internal/problem"
	"github.com/open-tollgate/tollgate/internal/token"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

const (
	issuerURL = "https://auth.example.com"
	origin    = "https://api.example.com"
	path      = "/api/payments"
	metadata  = origin + "/.well-known/oauth-protected-resource"

	bareDPoP = `DPoP algs="ES256 PS256 EdDSA"`
)

// resource is a server that judges tokens of one issuer.
type resource struct {
	issuer  *tokentest.Issuer
	key     *tokentest.Key // of a DPoP client
	checker *access.Checker
}

func newResource(t testing.TB) *resource {
	t.Helper()
	issuer := tokentest.NewIssuer(t, issuerURL)
	return &resource{
		issuer:  issuer,
		key:     tokentest.NewKey(t, "ES256", ""),
		checker: &access.Checker{Tokens: tokens(t, issuer.Issuer()), Proofs: proofs(t, dpop.NewMemory(0, nil))},
	}
}

func tokens(t testing.TB, i token.Issuer) *token.Verifier {
	t.Helper()
	v, err := token.NewVerifier(token.Config{Issuers: []token.Issuer{i}})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func proofs(t testing.TB, replay dpop.ReplayStore) *dpop.Verifier {
	t.Helper()
	v, err := dpop.New(dpop.Config{Origins: []string{origin}, Replay: replay})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func request(authorization ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header["Authorization"] = authorization
	return r
}

func (s *resource) proof(raw string, options ...tokentest.Option) string {
	return s.key.Proof(time.Now(), http.MethodGet, origin+path, raw, options...)
}

// answer is what a refusal says.
type answer struct {
	status    int
	reason    string
	challenge []string
}

func check(t *testing.T, c *access.Checker, r *http.Request, want answer) {
	t.Helper()
	tok, p := c.Check(r)
	if p == nil {
		if want.status != 0 || tok == nil {
			t.Errorf("accepted, want %+v", want)
		}
		return
	}
	if tok != nil {
		t.Error("a token beside a refusal")
	}
	got := answer{p.Status, p.Reason, p.Header["Www-Authenticate"]}
	if got.status != want.status || got.reason != want.reason || !slices.Equal(got.challenge, want.challenge) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if !slices.Contains(access.Reasons(), p.Reason) {
		t.Errorf("reason %q is not in the vocabulary", p.Reason)
	}
	later := p.Status == http.StatusServiceUnavailable || p.Status == http.StatusTooManyRequests
	if later != (p.Header.Get("Retry-After") != "") {
		t.Errorf("Retry-After %q with %d", p.Header.Get("Retry-After"), p.Status)
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	s := newResource(t)
	good := s.issuer.Token()
	bound := s.issuer.Token(tokentest.BoundTo(s.key))
	invalid := func(reason string) answer {
		return answer{401, reason, []string{`Bearer error="invalid_token", error_description="The token is not valid."`, bareDPoP}}
	}
	badProof := func(reason string) answer {
		return answer{401, reason, []string{`DPoP error="invalid_dpop_proof", algs="ES256 PS256 EdDSA"`, "Bearer"}}
	}
	wrongKey := answer{401, "proof_wrong_key", []string{
		`DPoP error="invalid_token", error_description="Invalid DPoP key binding", algs="ES256 PS256 EdDSA"`, "Bearer"}}
	badRequest := func(reason string) answer {
		return answer{400, reason, []string{`Bearer error="invalid_request"`}}
	}
	bare := func(reason string) answer { return answer{401, reason, []string{"Bearer", bareDPoP}} }

	tests := []struct {
		name          string
		authorization []string
		proofs        []string
		want          answer
	}{
		{"Bearer", []string{"Bearer " + good}, nil, answer{}},
		{"bearer", []string{"bearer " + good}, nil, answer{}},
		{"BEARER and two spaces", []string{"BEARER  " + good}, nil, answer{}},
		{"Bearer with a proof that nobody asked for", []string{"Bearer " + good}, []string{"x"}, answer{}},
		{"DPoP", []string{"DPoP " + bound}, []string{s.proof(bound)}, answer{}},
		{"dpop", []string{"dpop " + bound}, []string{s.proof(bound)}, answer{}},

		{"no credentials", nil, nil, bare("no_credentials")},
		{"Basic", []string{"Basic dTpw"}, nil, bare("unsupported_scheme")},
		{"Negotiate without credentials", []string{"Negotiate"}, nil, bare("unsupported_scheme")},

		{"two fields", []string{"Bearer " + good, "Bearer " + good}, nil, badRequest("two_methods")},
		{"two schemes", []string{"Bearer " + good, "DPoP " + bound}, nil, badRequest("two_methods")},
		{"two tokens in a field", []string{"Bearer " + good + ", Bearer " + good}, nil, badRequest("malformed_header")},
		{"empty field", []string{""}, nil, badRequest("malformed_header")},
		{"scheme alone", []string{"Bearer"}, nil, badRequest("malformed_header")},
		{"scheme and space", []string{"Bearer "}, nil, badRequest("malformed_header")},
		{"tab between", []string{"Bearer\t" + good}, nil, badRequest("malformed_header")},
		{"colon", []string{"Bearer: " + good}, nil, badRequest("malformed_header")},
		{"trailing space", []string{"Bearer " + good + " "}, nil, badRequest("malformed_header")},
		{"quotes", []string{`Bearer "` + good + `"`}, nil, badRequest("malformed_header")},
		{"padding alone", []string{"Bearer =="}, nil, badRequest("malformed_header")},
		{"padding inside", []string{"Bearer a=b"}, nil, badRequest("malformed_header")},
		{"JSON", []string{`Bearer {"payload":"e30"}`}, nil, badRequest("malformed_header")},
		{"not ASCII", []string{"Bearer tök"}, nil, badRequest("malformed_header")},
		{"scheme is not ASCII", []string{"Bеarer " + good}, nil, badRequest("malformed_header")},
		{"NUL", []string{"Bearer a\x00b"}, nil, badRequest("malformed_header")},

		{"opaque token", []string{"Bearer 2YotnFZFEjr1zCsicMWpAA"}, nil, invalid("malformed")},
		{"padded token", []string{"Bearer " + good + "="}, nil, invalid("malformed")},
		{"ID token", []string{"Bearer " + s.issuer.Token(tokentest.Header("typ", "JWT"))}, nil, invalid("wrong_type")},
		{"proof as token", []string{"Bearer " + s.proof(good)}, nil, invalid("wrong_type")},
		{"wrong audience", []string{"Bearer " + s.issuer.Token(tokentest.Claim("aud", "x"))}, nil, invalid("wrong_audience")},
		{"unknown kid", []string{"Bearer " + s.issuer.Token(tokentest.Header("kid", "x"))}, nil, invalid("unknown_key")},
		{"unknown cnf", []string{"Bearer " + s.issuer.Token(tokentest.Claim("cnf", map[string]any{"kid": "x"}))}, nil, invalid("unknown_confirmation")},
		{"expired", []string{"Bearer " + s.issuer.Token(tokentest.Claim("exp", 1))}, nil, answer{401, "expired",
			[]string{`Bearer error="invalid_token", error_description="The token has expired."`, bareDPoP}}},
		{"expired, by DPoP", []string{"DPoP " + s.issuer.Token(tokentest.Claim("exp", 1))}, nil, answer{401, "expired",
			[]string{`DPoP error="invalid_token", error_description="The token has expired.", algs="ES256 PS256 EdDSA"`, "Bearer"}}},
		{"bound token as Bearer", []string{"Bearer " + bound}, []string{s.proof(bound)}, answer{401, "bound_token_as_bearer",
			[]string{`Bearer error="invalid_token", error_description="The token is bound to a DPoP key."`, bareDPoP}}},
		{"bound to a certificate", []string{"Bearer " + s.issuer.Token(tokentest.Claim("cnf", map[string]any{"x5t#S256": "x"}))}, nil,
			answer{401, "certificate_bound", []string{
				`Bearer error="invalid_token", error_description="The token is bound to a client certificate, which is not supported here."`, bareDPoP}}},

		{"no proof", []string{"DPoP " + bound}, nil, badProof("proof_missing")},
		{"two proofs", []string{"DPoP " + bound}, []string{s.proof(bound), s.proof(bound)}, badProof("proof_malformed")},
		{"proof for another method", []string{"DPoP " + bound}, []string{s.proof(bound, tokentest.Claim("htm", "POST"))}, badProof("proof_wrong_method")},
		{"proof for another token", []string{"DPoP " + bound}, []string{s.proof(good)}, badProof("proof_wrong_token")},
		{"proof by another key", []string{"DPoP " + bound},
			[]string{tokentest.NewKey(t, "ES256", "").Proof(time.Now(), "GET", origin+path, bound)}, wrongKey},
		{"DPoP with a token that is not bound", []string{"DPoP " + good}, []string{s.proof(good)}, wrongKey},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := request(test.authorization...)
			if test.authorization == nil {
				r.Header.Del("Authorization")
			}
			if test.proofs != nil {
				r.Header["Dpop"] = test.proofs
			}
			check(t, s.checker, r, test.want)
		})
	}
}

func TestReplay(t *testing.T) {
	t.Parallel()
	s := newResource(t)
	bound := s.issuer.Token(tokentest.BoundTo(s.key))
	r := request("DPoP " + bound)
	r.Header.Set("DPoP", s.proof(bound))
	check(t, s.checker, r, answer{})
	check(t, s.checker, r, answer{401, "proof_replayed", []string{`DPoP error="invalid_dpop_proof", algs="ES256 PS256 EdDSA"`, "Bearer"}})
	// A backend behind the edge sees the same request, and has no memory of proofs.
	backend := &access.Checker{Tokens: s.checker.Tokens, Proofs: proofs(t, nil)}
	check(t, backend, r, answer{})
	check(t, backend, r, answer{})
}

func TestWithoutProofs(t *testing.T) {
	t.Parallel()
	s := newResource(t)
	c := &access.Checker{Tokens: s.checker.Tokens}
	bound := s.issuer.Token(tokentest.BoundTo(s.key))
	check(t, c, request("Bearer "+s.issuer.Token()), answer{})
	check(t, c, request("Bearer "+bound), answer{401, "bound_token_as_bearer",
		[]string{`Bearer error="invalid_token", error_description="The token is bound to a DPoP key."`}})
	check(t, c, request("DPoP "+bound), answer{401, "unsupported_scheme", []string{"Bearer"}})
}

// failing is a key source and a replay store that are out of reach.
type failing struct{}

func (failing) Key(context.Context, string) (*jose.Key, error) { return nil, token.ErrKeysUnavailable }
func (failing) Holds(*jose.Key) bool                           { return false }
func (failing) Use(context.Context, dpop.ReplayKey, time.Duration) (bool, error) {
	return false, errors.New("out of reach")
}

func TestOutOfReach(t *testing.T) {
	t.Parallel()
	s := newResource(t)
	config := s.issuer.Issuer()
	config.Keys = failing{}
	noKeys := &access.Checker{Tokens: tokens(t, config)}
	check(t, noKeys, request("Bearer "+s.issuer.Token()), answer{503, "keys_unavailable", nil})

	noMemory := &access.Checker{Tokens: s.checker.Tokens, Proofs: proofs(t, failing{})}
	bound := s.issuer.Token(tokentest.BoundTo(s.key))
	r := request("DPoP " + bound)
	r.Header.Set("DPoP", s.proof(bound))
	check(t, noMemory, r, answer{503, "replay_unavailable", nil})
	check(t, noMemory, request("Bearer "+s.issuer.Token()), answer{}) // does not depend on it
}

// TestTooManyProofs: the memory here is so small that a key's share is one proof.
func TestTooManyProofs(t *testing.T) {
	t.Parallel()
	s := newResource(t)
	c := &access.Checker{Tokens: s.checker.Tokens, Proofs: proofs(t, dpop.NewMemory(16, nil))}
	send := func(expected answer) {
		t.Helper()
		bound := s.issuer.Token(tokentest.BoundTo(s.key))
		r := request("DPoP " + bound)
		r.Header.Set("DPoP", s.proof(bound))
		check(t, c, r, expected)
	}
	send(answer{})
	send(answer{429, "proof_too_many", nil})
	s.key = tokentest.NewKey(t, "ES256", "another")
	send(answer{})
}

func TestResourceMetadata(t *testing.T) {
	t.Parallel()
	s := newResource(t)
	s.checker.ResourceMetadata = metadata
	check(t, s.checker, request("Bearer x"), answer{401, "malformed", []string{
		`Bearer error="invalid_token", error_description="The token is not valid.", resource_metadata="` + metadata + `"`,
		bareDPoP + `, resource_metadata="` + metadata + `"`}})
	check(t, s.checker, request(""), answer{400, "malformed_header", []string{
		`Bearer error="invalid_request", resource_metadata="` + metadata + `"`}})
	r := request()
	r.Header.Del("Authorization")
	check(t, s.checker, r, answer{401, "no_credentials", []string{
		`Bearer resource_metadata="` + metadata + `"`, bareDPoP + `, resource_metadata="` + metadata + `"`}})
}

func TestTokenInQuery(t *testing.T) {
	t.Parallel()
	s := newResource(t)
	want := answer{400, "token_in_query", []string{`Bearer error="invalid_request"`}}
	for query, refused := range map[string]bool{
		"access_token=x": true, "a=b&access_token=x": true, "access_token": true, "access%5Ftoken=x": true,
		"%61ccess_token=": true, "a;access_token=x": true, "access_token=x&": true,
		"": false, "a=access_token": false, "Access_Token=x": false, "xaccess_token=x": false, "access+token=x": false, "%zz=1": false,
	} {
		r := request("Bearer " + s.issuer.Token())
		r.URL.RawQuery = query
		if refused {
			check(t, s.checker, r, want)
			r.Header.Del("Authorization")
			check(t, s.checker, r, want)
		} else {
			check(t, s.checker, r, answer{})
		}
	}
}

func TestTokenInForm(t *testing.T) {
	t.Parallel()
	s := newResource(t)
	want := answer{400, "token_in_form", []string{`Bearer error="invalid_request"`}}
	long := "a=" + strings.Repeat("b", 100<<10)
	for _, test := range []struct {
		kind, body string
		want       answer
	}{
		{"application/x-www-form-urlencoded", "a=b&access_token=x", want},
		{"Application/X-WWW-Form-Urlencoded ; charset=UTF-8", "access_token=x", want},
		{"application/x-www-form-urlencoded", "a=b", answer{}},
		{"application/x-www-form-urlencoded", "", answer{}},
		{"application/x-www-form-urlencoded", long, answer{}},
		{"application/json", "access_token=x", answer{}},
		{"", "access_token=x", answer{}},
	} {
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(test.body))
		r.Header.Set("Authorization", "Bearer "+s.issuer.Token())
		if test.kind != "" {
			r.Header.Set("Content-Type", test.kind)
		}
		check(t, s.checker, r, test.want)
		if body, err := io.ReadAll(r.Body); err != nil || string(body) != test.body {
			t.Errorf("%d bytes of %d are left to read, %v", len(body), len(test.body), err)
		}
	}
}

// A token in a cookie is no credential at all.
func TestTokenInCookie(t *testing.T) {
	t.Parallel()
	s := newResource(t)
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.AddCookie(&http.Cookie{Name: "access_token", Value: s.issuer.Token()})
	check(t, s.checker, r, answer{401, "no_credentials", []string{"Bearer", bareDPoP}})
}

func TestForbidden(t *testing.T) {
	t.Parallel()
	bearer, bound := &token.Token{}, &token.Token{Confirmation: token.Confirmation{JKT: "x"}}
	for _, test := range []struct {
		name string
		got  *problem.Problem
		code string
		want answer
	}{
		{"scope, Bearer", access.InsufficientScope(bearer, []string{"a", "b"}), "insufficient_scope",
			answer{403, "insufficient_scope", []string{`Bearer error="insufficient_scope", scope="a b"`}}},
		{"scope, DPoP", access.InsufficientScope(bound, []string{"a"}), "insufficient_scope",
			answer{403, "insufficient_scope", []string{`DPoP error="insufficient_scope", scope="a"`}}},
		{"details", access.InsufficientDetails(bearer, "payment_initiation"), "insufficient_authorization_details",
			answer{403, "insufficient_details", []string{`Bearer error="insufficient_scope"`}}},
		{"details and scope", access.InsufficientDetails(bound, "payment_initiation", "a"), "insufficient_authorization_details",
			answer{403, "insufficient_details", []string{`DPoP error="insufficient_scope", scope="a"`}}},
		{"claim", access.ClaimMismatch("tenant"), "claim_mismatch", answer{403, "claim_mismatch", nil}},
	} {
		got := answer{test.got.Status, test.got.Reason, test.got.Header["Www-Authenticate"]}
		if test.got.Code != test.code || got.status != test.want.status || got.reason != test.want.reason ||
			!slices.Equal(got.challenge, test.want.challenge) {
			t.Errorf("%s: %s %+v", test.name, test.got.Code, got)
		}
		if !slices.Contains(access.Reasons(), got.reason) {
			t.Errorf("%s: reason %q is not in the vocabulary", test.name, got.reason)
		}
	}
}

func TestReasonsAreDistinct(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, reason := range access.Reasons() {
		if seen[reason] || reason == "" {
			t.Errorf("%q is there twice", reason)
		}
		seen[reason] = true
	}
}

// Nothing of the request is in the answer or in what is logged of it.
func TestRefusalsDoNotQuoteTheRequest(t *testing.T) {
	t.Parallel()
	const canary = "CANARY"
	s := newResource(t)
	bound := s.issuer.Token(tokentest.BoundTo(s.key))
	for _, field := range []string{
		"Bearer " + canary, "Bearer " + canary + `"`, canary + " x", `Bearer x", error="` + canary, "DPoP " + bound,
		"Bearer " + s.issuer.Token(tokentest.Header("kid", canary)), "Bearer " + s.issuer.Token(tokentest.Claim("iss", canary)),
	} {
		r := request(field)
		r.Header.Set("DPoP", canary)
		_, p := s.checker.Check(r)
		if p == nil {
			t.Fatalf("accepted %s", field)
		}
		w := httptest.NewRecorder()
		p.Write(w)
		said := w.Body.String() + strings.Join(w.Header()["Www-Authenticate"], "") + p.Error()
		if strings.Contains(said, canary) || strings.Contains(said, strings.Fields(field)[1]) && len(field) > 20 {
			t.Errorf("quoted: %s", said)
		}
	}
}
