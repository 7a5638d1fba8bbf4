package conformance

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/jose"
	"github.com/open-tollgate/tollgate/internal/testenv"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

const askedBlock = `			introspection {$INTROSPECTION} {
				client_id edge
				client_secret {file.{$SECRET_FILE}}
				ttl 5m
			}
`

// opaqueConfig has an issuer of JWTs that is asked about all other tokens.
const opaqueConfig = `{
	admin {$TOLLGATE_ADMIN}
	skip_install_trust
	auto_https disable_redirects
	tollgate {
		origin {$TOLLGATE_ORIGIN}
		issuer {$TOLLGATE_ORIGIN} {
			audience {$AUDIENCE}
			jwks_uri {$TOLLGATE_JWKS_URI}
` + askedBlock + `		}
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

// TestOpaqueTokensAtTheEdge asks about tokens as they come, again and after reloads.
func TestOpaqueTokensAtTheEdge(t *testing.T) {
	t.Parallel()
	p, d := newOpaque(t, opaqueConfig)
	key := tokentest.NewKey(t, "ES256", "")
	good := d.issue("good-token", "https://api.test", nil)
	bound := d.issue("bound-token", "https://api.test", map[string]any{"token_type": "DPoP", "cnf": map[string]any{"jkt": key.JKT()}})
	foreign := d.issue("foreign-token", "https://elsewhere.test", nil)
	proof := key.Proof(time.Now(), http.MethodGet, p.origin+"/", bound)
	for _, test := range []struct {
		name    string
		options []option
		status  int
		reason  string
		asked   int32 // so far
	}{
		{"good", []option{withBearer(good)}, 200, "accepted", 1},
		{"again", []option{withBearer(good)}, 200, "accepted", 1},
		{"inactive", []option{withBearer("unknown")}, 401, "inactive", 2},
		{"inactive again", []option{withBearer("unknown")}, 401, "inactive", 2},
		{"for somebody else", []option{withBearer(foreign)}, 401, "wrong_audience", 3},
		{"bound, as bearer", []option{withBearer(bound)}, 401, "bound_token_as_bearer", 4},
		{"bound, with a proof", []option{withHeader("Authorization", "DPoP "+bound), withHeader("DPoP", proof)}, 200, "accepted", 4},
		{"with the same proof", []option{withHeader("Authorization", "DPoP "+bound), withHeader("DPoP", proof)}, 401, "proof_replayed", 4},
		{"a JWT is nothing to ask about", []option{withBearer(p.issuer.Token(tokentest.Claim("aud", "https://api.test")))}, 200, "accepted", 4},
		{"nor is a bad one", []option{withBearer("a.b.c")}, 401, "malformed", 4},
		{"nor what is no token", []option{withBearer(`"x"`)}, 400, "malformed_header", 4},
	} {
		before := p.service.count.Load()
		got := p.do(t, http.MethodGet, "/", test.options...)
		if got.status != test.status || d.asked.Load() != test.asked {
			t.Errorf("%s: %d, asked %d times: %s", test.name, got.status, d.asked.Load(), got.body)
		}
		if passed := p.service.count.Load() != before; passed != (test.status == http.StatusOK) {
			t.Errorf("%s: passed %t", test.name, passed)
		}
		p.expectReason(t, test.name, test.reason, got)
	}
	if user, password, _ := d.question().BasicAuth(); user != "edge" || password != "s3cret" {
		t.Errorf("asked as %q, %q", user, password)
	}

	d.down.Store(true)
	p.expectNothingBehind(t, func() {
		got := p.do(t, http.MethodGet, "/", withBearer("another"))
		if got.status != http.StatusServiceUnavailable || got.problem(t)["code"] != "temporarily_unavailable" || got.header.Get("Retry-After") == "" {
			t.Errorf("nobody answers: %d %s", got.status, got.body)
		}
		p.expectReason(t, "nobody answers", "introspection_unavailable", got)
	})
	p.reload() // forgets nothing
	if got := p.do(t, http.MethodGet, "/", withBearer(good)); got.status != http.StatusOK {
		t.Errorf("after a reload, nobody answers: %d %s", got.status, got.body)
	}
	for series, want := range map[string]string{
		`tollgate_introspections_total{issuer="` + p.origin + `",result="answered"}`: "4",
		`tollgate_introspections_total{issuer="` + p.origin + `",result="failed"}`:   "1",
		`tollgate_introspection_answers{issuer="` + p.origin + `",result="active"}`:  "2",
		`tollgate_introspection_answers{issuer="` + p.origin + `",result="refused"}`: "2",
	} {
		if got := p.metric(series); got != want {
			t.Errorf("%s is %s, want %s", series, got, want)
		}
	}
	p.expectReloadsToRefuse(t, d, good)
}

// expectReloadsToRefuse takes away, one after the other, what a remembered token passed by.
func (p *platform) expectReloadsToRefuse(t *testing.T, d *describer, good string) {
	t.Helper()
	expect := func(what string, status int) {
		t.Helper()
		if got := p.do(t, http.MethodGet, "/", withBearer(good)); got.status != status {
			t.Errorf("%s: %d %s", what, got.status, got.body)
		}
	}
	d.change(t, "another")
	p.reload() // has to be asked anew, and nobody answers
	expect("other credentials", http.StatusServiceUnavailable)
	d.down.Store(false)
	p.reload("AUDIENCE=https://new.test")
	expect("another audience", http.StatusUnauthorized)
	p.reload()
	expect("as it was", http.StatusOK)
	if err := os.WriteFile(p.config, []byte(strings.Replace(opaqueConfig, askedBlock, "", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	p.reload()
	expect("no introspection", http.StatusUnauthorized)
}

// TestRevokedOpaqueToken revokes a token that the edge remembers, and whose issuer is not
// asked again.
func TestRevokedOpaqueToken(t *testing.T) {
	t.Parallel()
	redis := "redis://" + testenv.NewRedisServer(t).Addr()
	p, d := newOpaque(t, strings.Replace(opaqueConfig, "\ttollgate {\n", "\ttollgate {\n\t\tredis {$TOLLGATE_REDIS}\n", 1), "TOLLGATE_REDIS="+redis)
	raw := d.issue("opaque", "https://api.test", map[string]any{"jti": "one"})
	ask := func() int { return p.do(t, http.MethodGet, "/", withBearer(raw)).status }
	waitFor(t, "the revocations", func() bool { return ask() == http.StatusOK })
	p.revoke(t, redis, "--jti", "one")
	waitFor(t, "the revocation", func() bool { return ask() == http.StatusUnauthorized })
	if n := d.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// signedConfig has an issuer whose tokens are all opaque to the edge, which signs what
// it says of them, and which is found by its metadata.
const signedConfig = localEdge + `		issuer {$ASKED} {
			audience https://api.test
			introspection {
				client_id edge
				client_key {$EDGE_KEY}
				signed
			}
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

// TestSignedIntrospection goes by metadata, private_key_jwt (RFC 7523) and RFC 9701.
func TestSignedIntrospection(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	issuer, client := tokentest.NewIssuer(t, server.URL), tokentest.NewKey(t, "ES256", "edge-key")
	var assertion atomic.Pointer[string]
	var plain atomic.Bool
	mux.Handle("/keys", issuer.Handler())
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{
			"issuer": server.URL, "jwks_uri": server.URL + "/keys", "introspection_endpoint": server.URL + "/ask",
		})
	})
	mux.HandleFunc("/ask", func(w http.ResponseWriter, r *http.Request) {
		sent := r.PostFormValue("client_assertion")
		assertion.Store(&sent)
		description := map[string]any{
			"active": true, "aud": "https://api.test", "sub": "user-1", "client_id": "client-1", "exp": time.Now().Add(time.Minute).Unix(),
		}
		if plain.Load() {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(description)
			return
		}
		w.Header().Set("Content-Type", "application/token-introspection+jwt")
		_, _ = io.WriteString(w, issuer.Sign(map[string]any{
			"iss": server.URL, "aud": "edge", "iat": time.Now().Unix(), "token_introspection": description,
		}, tokentest.Header("typ", "token-introspection+jwt")))
	})
	keyFile := filepath.Join(t.TempDir(), "edge.jwk")
	if err := os.WriteFile(keyFile, privateJWK(t, client), 0o600); err != nil {
		t.Fatal(err)
	}
	p := newPlatformOf(t, writeConfig(t, "Caddyfile", signedConfig), "ASKED="+server.URL, "EDGE_KEY="+keyFile)
	waitFor(t, "the keys of the issuer", func() bool {
		return p.metric(`tollgate_keyset_age_seconds{issuer="`+server.URL+`"}`) != "+Inf"
	})
	if got := p.do(t, http.MethodGet, "/", withBearer("opaque")); got.status != http.StatusOK {
		t.Fatalf("%d %s\n%s", got.status, got.body, p.log)
	}
	sent, err := jose.ParseCompact(*assertion.Load())
	if err != nil {
		t.Fatal(err)
	}
	public, err := jose.ParseKey(client.JWK())
	if err != nil || sent.Verify(public, jose.ES256) != nil {
		t.Errorf("the assertion is not the client's: %v", err)
	}
	plain.Store(true)
	p.expectNothingBehind(t, func() {
		if got := p.do(t, http.MethodGet, "/", withBearer("another")); got.status != http.StatusServiceUnavailable {
			t.Errorf("an answer without a signature: %d %s", got.status, got.body)
		}
	})
}

// keylessConfig has two issuers, one without keys, and an API for each and for both.
const keylessConfig = localEdge + `		issuer https://opaque.test {
			audience https://api.test
			jwks_uri off
			introspection {$INTROSPECTION} {
				client_id edge
				client_secret {env.EDGE_SECRET}
			}
		}
	}
}
https://localhost:{$TOLLGATE_PORT} {
	tls internal
	api both /both {
		access_token
		reverse_proxy {$TOLLGATE_PAYMENTS}
	}
	api opaque /opaque {
		access_token {
			issuer https://opaque.test
		}
		reverse_proxy {$TOLLGATE_PAYMENTS}
	}
	api jwt /jwt {
		access_token {
			issuer {$TOLLGATE_ORIGIN}
		}
		reverse_proxy {$TOLLGATE_PAYMENTS}
	}
}
`

// TestIssuerWithoutKeys: what looks like a JWT is judged by keys wherever there are any,
// and shown to nobody. Nor is one of another issuer, where there are none.
func TestIssuerWithoutKeys(t *testing.T) {
	t.Parallel()
	p, d := newOpaque(t, keylessConfig)
	shaped := d.issue("looks.like.a-jwt", "https://api.test", nil)
	opaque := d.issue("opaque", "https://api.test", nil)
	jwt := p.issuer.Token()
	for _, test := range []struct {
		path, token string
		status      int
		asked       int32 // so far
	}{
		{"/both", opaque, 200, 1},
		{"/both", jwt, 200, 1},
		{"/both", shaped, 401, 1},
		{"/opaque", shaped, 200, 2},
		{"/opaque", jwt, 401, 2},
		{"/jwt", jwt, 200, 2},
		{"/jwt", opaque, 401, 2},
	} {
		got := p.do(t, http.MethodGet, test.path, withBearer(test.token))
		if got.status != test.status || d.asked.Load() != test.asked {
			t.Errorf("%s with %.20s: %d, asked %d times: %s", test.path, test.token, got.status, d.asked.Load(), got.body)
		}
	}
}

// TestNoOpaqueSecretIsKept plants secrets that are the operator's, and tokens that an
// issuer repeats in its failures, and looks for them in everything the edge writes.
func TestNoOpaqueSecretIsKept(t *testing.T) {
	t.Parallel()
	log := "\tlog {\n\t\tformat filter {\n\t\t\twrap json\n\t\t\tfields {\n\t\t\t\trequest>uri regexp \\?.* ?REDACTED\n\t\t\t\trequest>headers>Dpop delete\n\t\t\t\tuser_id delete\n\t\t\t}\n\t\t}\n\t}\n"
	config := strings.Replace(opaqueConfig, "\tlog\n", log, 1)
	config = strings.Replace(config, "\ttollgate {\n", "\ttollgate {\n\t\tdpop {\n\t\t\tnonce_key {env.NONCE_KEY}\n\t\t}\n", 1)
	const secret, nonceKey = "canary-secret", "canary-nonce-key-canary-nonce-key"
	secretFile := writeConfig(t, "secret", secret)
	p, d := newOpaque(t, config, "SECRET_FILE="+secretFile, "NONCE_KEY="+nonceKey)
	key := tokentest.NewKey(t, "ES256", "")
	secrets := []string{"canary", base64.StdEncoding.EncodeToString([]byte("edge:" + secret)), base64.StdEncoding.EncodeToString([]byte(secret))}
	good := d.issue("canary-good", "https://api.test", map[string]any{"sub": "canary-user"})
	bound := d.issue("canary-bound", "https://api.test", map[string]any{"cnf": map[string]any{"jkt": key.JKT()}})
	for range 2 {
		proof := key.Proof(time.Now(), http.MethodGet, p.origin+"/", bound)
		secrets = append(secrets, strings.Split(proof, ".")[1:]...)
		for _, options := range [][]option{
			{withBearer(good)}, {withBearer("canary-unknown")}, {withBearer("canary.canary.canary")}, {withBearer(`canary"`)}, {withBearer(bound)},
			{withHeader("Authorization", "DPoP "+bound), withHeader("DPoP", proof)},
			{withHeader("Authorization", "DPoP "+bound), withHeader("DPoP", "canary")},
		} {
			got := p.do(t, http.MethodGet, "/", options...)
			header, _ := json.Marshal(got.header)
			p.expectNoSecret(t, "an answer", string(header)+string(got.body), secrets)
		}
		d.down.Store(true)
		p.do(t, http.MethodGet, "/", withBearer("canary-other"))
	}
	p.reload()
	adapt := exec.Command(binary, "adapt", "--config", p.config, "--adapter", "caddyfile")
	adapt.Env = p.env
	adapted, err := adapt.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, adapted)
	}
	waitFor(t, "the access log", func() bool { return strings.Contains(p.log.String(), `"introspection_unavailable"`) })
	p.expectNoSecret(t, "the metrics", p.metrics(), secrets)
	p.expectNoSecret(t, "the configuration", string(adapted)+string(p.get("/config/")), secrets)
	p.expectNoSecret(t, "the log", p.log.String(), secrets)
}

// TestFilesOfIssuersAreNamed has files and variables that are missing or wrong when the
// configuration is loaded.
func TestFilesOfIssuersAreNamed(t *testing.T) {
	t.Parallel()
	wrong := writeConfig(t, "wrong.json", `{"kty":"canary"}`)
	for name, test := range map[string]struct{ option, want string }{
		"no key set":       {"jwks_file /nowhere/keys.json", "/nowhere/keys.json"},
		"not a key set":    {"jwks_file " + wrong, wrong},
		"no secret":        {"introspection {\nclient_id edge\nclient_secret {env.NOT_SET}\n}", "{env.NOT_SET}"},
		"no secret file":   {"introspection {\nclient_id edge\nclient_secret {file./nowhere/secret}\n}", "{file./nowhere/secret}"},
		"no private key":   {"introspection {\nclient_id edge\nclient_key /nowhere/edge.jwk\n}", "/nowhere/edge.jwk"},
		"not a client key": {"introspection {\nclient_id edge\nclient_key " + wrong + "\n}", wrong},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := "{\nadmin off\nauto_https off\ntollgate {\nissuer https://i.test {\naudience a\n" + test.option + "\n}\n}\n}\n:80 {\napi pay {\naccess_token\n}\n}\n"
			output, err := validate(writeConfig(t, "Caddyfile", config), "caddyfile")
			if err == nil || !strings.Contains(output, "https://i.test") || !strings.Contains(output, test.want) || strings.Contains(output, "canary") {
				t.Errorf("%v\n%s", err, output)
			}
		})
	}
}
