package introspect_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/jose"
	"github.com/open-tollgate/tollgate/internal/token"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

func TestPlainAnswers(t *testing.T) {
	t.Parallel()
	with := func(name string, value any) string { return encode(t, description(map[string]any{name: value})) }
	bound := map[string]any{"jkt": "thumb"}
	for _, test := range []struct {
		name, body string
		want       token.Reason
	}{
		{"good", with("x", 1), ""},
		{"list of audiences", with("aud", []string{"other", audience}), ""},
		{"the issuer's name", with("iss", issuerURL), ""},
		{"bearer", with("token_type", "bearer"), ""},
		{"bound by DPoP", encode(t, description(map[string]any{"token_type": "DPoP", "cnf": bound})), ""},
		{"leeway is none by default", with("exp", noon.Unix()), token.Expired},

		{"inactive", `{"active":false}`, token.Inactive},
		{"inactive with everything", with("active", false), token.Inactive},
		{"active is missing", with("active", nil), token.Inactive},
		{"active is a string", with("active", "true"), token.Inactive},
		{"active is a number", with("active", 1), token.Inactive},
		{"active in upper case", `{"Active":true}`, token.Inactive},
		{"active is there twice", `{"active":false,"active":true}`, token.IntrospectionUnavailable},
		{"null", "null", token.IntrospectionUnavailable},
		{"array", "[]", token.IntrospectionUnavailable},
		{"empty", "", token.IntrospectionUnavailable},
		{"two documents", encode(t, description(nil)) + `{"active":true}`, token.IntrospectionUnavailable},
		{"not JSON", "<html>", token.IntrospectionUnavailable},

		{"another issuer", with("iss", "https://evil.example.com"), token.UnknownIssuer},
		{"issuer with a slash", with("iss", issuerURL+"/"), token.UnknownIssuer},
		{"issuer is a number", with("iss", 1), token.InvalidClaim},
		{"another audience", with("aud", "https://other.example.com"), token.WrongAudience},
		{"no audience", with("aud", nil), token.MissingClaim},
		{"no exp", with("exp", nil), token.MissingClaim},
		{"expired", with("exp", noon.Add(-time.Second).Unix()), token.Expired},
		{"exp is a string", with("exp", "1900000000"), token.InvalidClaim},
		{"not yet valid", with("nbf", noon.Add(time.Minute).Unix()), token.NotYetValid},
		{"issued in the future", with("iat", noon.Add(time.Minute).Unix()), token.NotYetValid},
		{"no client", with("client_id", nil), token.MissingClaim},
		{"no subject", with("sub", nil), token.MissingClaim},
		{"NUL in the subject", with("sub", "a\x00b"), token.InvalidClaim},
		{"scope is a list", with("scope", []string{"a"}), token.InvalidClaim},
		{"unknown cnf", with("cnf", map[string]any{"kid": "x"}), token.UnknownConfirmation},
		{"empty cnf", with("cnf", map[string]any{}), token.UnknownConfirmation},
		{"bound by DPoP to nothing", with("token_type", "DPoP"), token.UnknownConfirmation},
		{"bound by DPoP to a certificate", encode(t, description(map[string]any{
			"token_type": "DPoP", "cnf": map[string]any{"x5t#S256": "x"}})), token.UnknownConfirmation},
		{"token of another type", with("token_type", "N_A"), token.WrongType},
		{"type is a number", with("token_type", 1), token.InvalidClaim},
		{"refresh token", with("token_use", "refresh_token"), token.WrongType},
		{"refresh token of Keycloak", with("typ", "Refresh"), token.WrongType},
		{"ID token of Keycloak", with("typ", "ID"), token.WrongType},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, settings(t, serve(t, answering(test.body)).url))
			if got := verify(t, c, opaque); got != test.want {
				t.Errorf("reason %q, want %q", got, test.want)
			}
		})
	}
}

func TestTheTokenOfAnAnswer(t *testing.T) {
	t.Parallel()
	c := newClient(t, settings(t, serve(t, answering(encode(t, description(map[string]any{
		"jti": "id-1", "grant_id": "grant-1", "iat": noon.Unix(), "acr": "urn:bank:sca", "auth_time": noon.Unix(),
		"cnf": map[string]any{"jkt": "thumb", "x5t#S256": "cert"}, "tenant": "t1",
		"authorization_details": []any{map[string]any{"type": "payment_initiation"}},
	})))).url))
	got, err := c.Verify(t.Context(), opaque)
	if err != nil {
		t.Fatal(err)
	}
	if got.Issuer != issuerURL || got.Subject != "user-1" || got.ClientID != "client-1" || got.ID != "id-1" || got.GrantID != "grant-1" {
		t.Errorf("identifiers: %+v", got)
	}
	if !got.HasScope("profile:read") || !got.HasDetail("payment_initiation") || got.ACR != "urn:bank:sca" || !got.AuthTime.Equal(noon) {
		t.Errorf("what it allows: %+v", got)
	}
	if got.Confirmation != (token.Confirmation{JKT: "thumb", X5TS256: "cert"}) || !got.ExpiresAt.Equal(noon.Add(5*time.Minute)) {
		t.Errorf("confirmation and end: %+v", got)
	}
	if tenant, _ := got.Claim("tenant"); tenant != "t1" {
		t.Errorf("tenant %v", tenant)
	}
}

// signedBy makes signed answers by the issuer, altered by the options.
func signedBy(i *tokentest.Issuer, options ...tokentest.Option) string {
	options = append([]tokentest.Option{tokentest.Header("typ", "token-introspection+jwt")}, options...)
	return i.Sign(map[string]any{
		"iss": issuerURL, "aud": "edge", "iat": noon.Unix(), "token_introspection": description(nil),
	}, options...)
}

func TestSignedAnswers(t *testing.T) {
	t.Parallel()
	issuer := tokentest.NewIssuer(t, issuerURL)
	stranger := tokentest.NewKey(t, "ES256", "key-1")
	signed := func(options ...tokentest.Option) string { return signedBy(issuer, options...) }
	claim := func(name string, value any) string { return signed(tokentest.Claim(name, value)) }
	at := func(d time.Duration) string { return claim("iat", noon.Add(d).Unix()) }
	const unreadable = token.IntrospectionUnavailable
	for _, test := range []struct {
		name, body string
		want       token.Reason
	}{
		{"good", signed(), ""},
		{"with a line break behind", signed() + "\n", ""},
		{"to a resource of ours", claim("aud", []string{"x", audience}), ""},
		{"inactive", claim("token_introspection", map[string]any{"active": false}), token.Inactive},
		{"about an expired token", claim("token_introspection", description(map[string]any{"exp": 1})), token.Expired},
		{"plain", encode(t, description(nil)), unreadable},
		{"an access token", signed(tokentest.Header("typ", "at+jwt")), unreadable},
		{"no type", signed(tokentest.WithoutHeader("typ")), unreadable},
		{"by a stranger", signed(tokentest.SignedBy(stranger)), unreadable},
		{"with its own key", signed(tokentest.Header("jwk", stranger.JWK()), tokentest.SignedBy(stranger)), unreadable},
		{"no kid", signed(tokentest.WithoutHeader("kid")), unreadable},
		{"unknown kid", signed(tokentest.Header("kid", "x")), unreadable},
		{"none", signed(tokentest.Header("alg", "none")), unreadable},
		{"by another issuer", claim("iss", "https://evil.example.com"), unreadable},
		{"to somebody else", claim("aud", "other"), unreadable},
		{"to nobody", signed(tokentest.Without("aud")), unreadable},
		{"to an empty name", claim("aud", []any{"", 1}), unreadable},
		{"at no time", signed(tokentest.Without("iat")), unreadable},
		{"two minutes ago", at(-2 * time.Minute), unreadable},
		{"a minute ahead", at(time.Minute), unreadable},
		{"about nothing", signed(tokentest.Without("token_introspection")), unreadable},
		{"members beside the description", signed(tokentest.Without("token_introspection"), tokentest.Claim("active", true)), unreadable},
		{"claims are no object", issuer.Key().SignRaw(`{"typ":"token-introspection+jwt","alg":"ES256","kid":"key-1"}`, "[]"), unreadable},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Accept") != "application/token-introspection+jwt" {
					t.Errorf("asks for %s", r.Header.Get("Accept"))
				}
				w.Header().Set("Content-Type", "application/token-introspection+jwt")
				_, _ = io.WriteString(w, test.body)
			})
			config := settings(t, s.url)
			config.Issuer.Keys = issuer.Keys()
			if got := verify(t, newClient(t, config), opaque); got != test.want {
				t.Errorf("reason %q, want %q", got, test.want)
			}
		})
	}
}

// Who asks for signed answers takes no others, and the other way round.
func TestNoDowngrade(t *testing.T) {
	t.Parallel()
	issuer := tokentest.NewIssuer(t, issuerURL)
	config := settings(t, serve(t, answering(encode(t, description(nil)))).url)
	config.Issuer.Keys = issuer.Keys()
	if got := verify(t, newClient(t, config), opaque); got != token.IntrospectionUnavailable {
		t.Errorf("a plain answer: %q", got)
	}
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/token-introspection+jwt")
		_, _ = io.WriteString(w, signedBy(issuer))
	})
	if got := verify(t, newClient(t, settings(t, s.url)), opaque); got != token.IntrospectionUnavailable {
		t.Errorf("a signed answer: %q", got)
	}
}

// unreachable are keys that cannot be had.
type unreachable struct{}

func (unreachable) Key(context.Context, string) (*jose.Key, error) {
	return nil, token.ErrKeysUnavailable
}
func (unreachable) Holds(*jose.Key) bool { return false }

// fixed answers every request with one body, without a network.
type fixed struct{ kind, body string }

func (f *fixed) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {f.kind}},
		Body: io.NopCloser(strings.NewReader(f.body)), Request: r,
	}, nil
}

func TestKeysOutOfReach(t *testing.T) {
	t.Parallel()
	config := settings(t, "https://auth.example.com/introspect")
	config.Issuer.Keys = unreachable{}
	config.Client = &http.Client{Transport: &fixed{"application/token-introspection+jwt", signedBy(tokentest.NewIssuer(t, issuerURL))}}
	if got := verify(t, newClient(t, config), opaque); got != token.IntrospectionUnavailable {
		t.Errorf("got %q", got)
	}
}

// FuzzAnswer: what passes is an active token for us, whatever the server says.
func FuzzAnswer(f *testing.F) {
	for _, altered := range []map[string]any{nil, {"active": false}, {"cnf": map[string]any{"jkt": "x"}}, {"exp": nil}, {"token_type": "DPoP"}} {
		f.Add(encode(f, description(altered)))
	}
	server := new(fixed)
	server.kind = "application/json"
	config := settings(f, "https://auth.example.com/introspect")
	config.Client = &http.Client{Transport: server}
	f.Fuzz(func(t *testing.T, body string) {
		server.body = body
		c := newClient(t, config)
		tok, err := c.Verify(t.Context(), opaque)
		if err != nil {
			reasonOf(t, err)
			return
		}
		if active, _ := tok.Claim("active"); active != true || tok.Issuer != issuerURL || !tok.ExpiresAt.After(noon) {
			t.Fatalf("accepted %q", body)
		}
		if tok.Subject == "" || tok.ClientID == "" || !strings.Contains(strings.Join(tok.Audience, " "), audience) {
			t.Fatalf("accepted %q", body)
		}
		if _, bound := tok.Claim("cnf"); bound && !tok.Confirmation.Bound() {
			t.Fatalf("lost the confirmation of %q", body)
		}
	})
}

// FuzzSignedAnswer: nothing passes that the issuer did not sign.
func FuzzSignedAnswer(f *testing.F) {
	issuer := tokentest.NewIssuer(f, issuerURL)
	good := signedBy(issuer)
	for _, seed := range []string{good, good + " ", good[:len(good)-1], "e30.e30.e30", ""} {
		f.Add(seed)
	}
	server := new(fixed)
	server.kind = "application/token-introspection+jwt"
	config := settings(f, "https://auth.example.com/introspect")
	config.Issuer.Keys = issuer.Keys()
	config.Client = &http.Client{Transport: server}
	f.Fuzz(func(t *testing.T, body string) {
		server.body = body
		_, err := newClient(t, config).Verify(t.Context(), opaque)
		if reasonOf(t, err) == "" && strings.TrimSpace(body) != good {
			t.Fatalf("accepted %q", body)
		}
	})
}
