package conformance

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/dpop"
	"github.com/open-tollgate/tollgate/internal/testenv"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

const fapi2Config = localEdge + `		issuer https://bound.test {
			audience https://bound.test/api
			jwks_file {$BOUND_KEYS}
			profile fapi2
		}
	}
}
https://localhost:{$TOLLGATE_PORT} {
	tls internal {
		client_auth {
			mode request
		}
	}
	api bank /bank* {
		profile fapi2
		access_token
		@read path /bank/read
		require @read {
			scope accounts:read
		}
		reverse_proxy {$TOLLGATE_PAYMENTS}
	}
	api shop /shop* {
		access_token
		reverse_proxy {$TOLLGATE_PAYMENTS}
	}
}
`

// TestFAPI2 has an API of the profile, and an issuer of it, beside others that are not.
func TestFAPI2(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedisServer(t)
	strict := tokentest.NewIssuer(t, "https://bound.test")
	p := newPlatformOf(t, writeConfig(t, "Caddyfile", fapi2Config),
		"TOLLGATE_REDIS=redis://"+server.Addr(), "BOUND_KEYS="+writeConfig(t, "keys.json", string(strict.JWKS())))
	key := tokentest.NewKey(t, "ES256", "")
	asDPoP := func(issuer *tokentest.Issuer, path string) []option {
		token := issuer.Token(tokentest.BoundTo(key))
		proof := key.Proof(time.Now(), http.MethodGet, p.origin+path, token)
		return []option{withHeader("Authorization", "DPoP "+token), withHeader("DPoP", proof)}
	}
	waitFor(t, "the revocations", func() bool {
		return p.do(t, http.MethodGet, "/shop", withBearer(p.issuer.Token())).status == http.StatusOK
	})
	const wanted = `DPoP error="invalid_token", error_description="A sender-constrained access token is required.", algs="ES256 PS256 EdDSA"`
	for _, test := range []struct {
		name, path string
		options    []option
		status     int
	}{
		{"unbound in a plain API", "/shop", []option{withBearer(p.issuer.Token())}, 200},
		{"unbound", "/bank", []option{withBearer(p.issuer.Token())}, 401},
		{"unbound, that has passed elsewhere", "/bank/read", []option{withBearer(p.issuer.Token())}, 401},
		{"unbound, as DPoP", "/bank", []option{withHeader("Authorization", "DPoP "+p.issuer.Token())}, 401},
		{"bound", "/bank", asDPoP(p.issuer, "/bank"), 200},
		{"unbound, of an issuer of the profile", "/shop", []option{withBearer(strict.Token())}, 401},
		{"bound, of an issuer of the profile", "/shop", asDPoP(strict, "/shop"), 200},
		{"bound, of an issuer of the profile, in an API of it", "/bank", asDPoP(strict, "/bank"), 200},
	} {
		before := p.service.count.Load()
		got := p.do(t, http.MethodGet, test.path, test.options...)
		if got.status != test.status {
			t.Errorf("%s: %d %s", test.name, got.status, got.body)
		}
		if passed := p.service.count.Load() != before; passed != (test.status == http.StatusOK) {
			t.Errorf("%s: passed %t", test.name, passed)
		}
		if test.status != http.StatusOK && !slices.Equal(got.header["Www-Authenticate"], []string{wanted}) {
			t.Errorf("%s: challenges %q", test.name, got.header["Www-Authenticate"])
		}
	}
	for api, want := range map[string]string{"bank": "3", "shop": "1"} {
		if got := p.metric(`tollgate_token_decisions_total{api="` + api + `",reason="not_sender_constrained",result="refused"}`); got != want {
			t.Errorf("%s decisions of %s", got, api)
		}
	}
	// A token that shop remembers, from the moment that shop is of the profile too.
	known := withBearer(p.issuer.Token())
	if got := p.do(t, http.MethodGet, "/shop", known); got.status != http.StatusOK {
		t.Fatalf("%d %s", got.status, got.body)
	}
	stricter := strings.Replace(fapi2Config, "api shop /shop* {\n", "api shop /shop* {\n\t\tprofile fapi2\n", 1)
	if err := os.WriteFile(p.config, []byte(stricter), 0o600); err != nil {
		t.Fatal(err)
	}
	p.reload()
	if got := p.do(t, http.MethodGet, "/shop", known); got.status != http.StatusUnauthorized {
		t.Errorf("after the reload: %d %s", got.status, got.body)
	}
}

const staticConfig = localEdge + `		issuer https://static.test {
			audience https://static.test/api
			jwks_file {$KEYS}
		}
	}
}
https://localhost:{$TOLLGATE_PORT} {
	tls internal
	api pay {
		access_token
		reverse_proxy {$TOLLGATE_PAYMENTS}
	}
}
`

// TestKeysFromAFile exchanges the file: what it no longer has is refused from the reload on.
func TestKeysFromAFile(t *testing.T) {
	t.Parallel()
	issuer := tokentest.NewIssuer(t, "https://static.test")
	file := filepath.Join(t.TempDir(), "keys.json")
	publish := func() {
		if err := os.WriteFile(file, issuer.JWKS(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	publish()
	p := newPlatformOf(t, writeConfig(t, "Caddyfile", staticConfig), "KEYS="+file)
	expect := func(what, token string, status int) {
		t.Helper()
		if got := p.do(t, http.MethodGet, "/", withBearer(token)); got.status != status {
			t.Errorf("%s: %d %s", what, got.status, got.body)
		}
	}
	old := issuer.Token()
	expect("the only key", old, http.StatusOK)
	issuer.Rotate(tokentest.NewKey(t, "ES256", "key-2"))
	fresh := issuer.Token()
	expect("a key that is not there yet", fresh, http.StatusUnauthorized)
	issuer.Withdraw()
	publish()
	p.reload()
	expect("a key that is gone", old, http.StatusUnauthorized)
	expect("the new key", fresh, http.StatusOK)
	if strings.Contains(p.metrics(), `tollgate_keyset_age_seconds{issuer="https://static.test"}`) {
		t.Error("an age of keys that are not fetched")
	}
}

const nonceConfig = localEdge + `		dpop {
			nonce_key    {env.NONCE_KEY}
			nonce_period 1h
		}
	}
}
https://localhost:{$TOLLGATE_PORT} {
	tls internal
	log
	api pay {
		access_token
		reverse_proxy {$TOLLGATE_PAYMENTS}
	}
}
`

// TestNoncesAtTheEdge walks through RFC 9449 section 9 with two nodes that share a key.
func TestNoncesAtTheEdge(t *testing.T) {
	t.Parallel()
	const secret = "a key of nonces that both nodes have"
	path := writeConfig(t, "Caddyfile", nonceConfig)
	p, other := newPlatformOf(t, path, "NONCE_KEY="+secret), newPlatformOf(t, path, "NONCE_KEY="+secret)
	key := tokentest.NewKey(t, "ES256", "")
	send := func(p *platform, options ...tokentest.Option) answer {
		token := p.issuer.Token(tokentest.BoundTo(key))
		proof := key.Proof(time.Now(), http.MethodGet, p.origin+"/", token, options...)
		return p.do(t, http.MethodGet, "/", withHeader("Authorization", "DPoP "+token), withHeader("DPoP", proof))
	}
	var nonce string
	p.expectNothingBehind(t, func() {
		for _, options := range [][]tokentest.Option{nil, {tokentest.Claim("nonce", "made-up")}} {
			got := send(p, options...)
			given := got.header["Dpop-Nonce"]
			if got.status != http.StatusUnauthorized || got.problem(t)["code"] != "use_dpop_nonce" || len(given) != 1 || given[0] == "" {
				t.Fatalf("%d %v %s", got.status, got.header, got.body)
			}
			if want := []string{`DPoP error="use_dpop_nonce", algs="ES256 PS256 EdDSA"`, plainBearer}; !slices.Equal(got.header["Www-Authenticate"], want) ||
				!slices.Equal(got.header["Cache-Control"], []string{"no-store"}) {
				t.Errorf("%v", got.header)
			}
			p.expectReason(t, "no nonce", "proof_nonce_wanted", got)
			nonce = given[0]
		}
	})
	expect := func(what string, p *platform, nonce string, renewed bool) {
		t.Helper()
		got := send(p, tokentest.Claim("nonce", nonce))
		given := got.header["Dpop-Nonce"]
		if got.status != http.StatusOK || (len(given) == 1) != renewed {
			t.Errorf("%s: %d %v %s", what, got.status, got.header, got.body)
		}
		if renewed && (len(given) != 1 || given[0] == nonce || !slices.Equal(got.header["Cache-Control"], []string{"no-store"})) {
			t.Errorf("%s: %v", what, got.header)
		}
	}
	// An hour can begin between two lines here; then what was just given is renewed, and rightly.
	newer := func() bool {
		return len(send(p, tokentest.Claim("nonce", nonce)).header["Dpop-Nonce"]) == 1
	}
	expect("the nonce", p, nonce, newer())
	expect("at another node", other, nonce, newer())
	p.reload()
	expect("after a reload", p, nonce, newer())
	nonces, err := dpop.NewNonces([]byte(secret), time.Hour, func() time.Time { return time.Now().Add(-time.Hour) })
	if err != nil {
		t.Fatal(err)
	}
	expect("the nonce before", p, nonces.Current(), true)
	// Who has no DPoP key hears nothing of nonces.
	if got := p.do(t, http.MethodGet, "/", withBearer(p.issuer.Token())); got.status != http.StatusOK || got.header["Dpop-Nonce"] != nil {
		t.Errorf("%d %v", got.status, got.header)
	}
}
