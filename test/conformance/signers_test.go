package conformance

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/testenv"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

// strangers accepts tokens of our test issuer by all algorithms, and of an issuer whose
// keys are where its metadata says.
const strangers = localEdge + `		issuer {$PROVIDER} {
			audience {$TOLLGATE_ORIGIN}/api
		}
	}
}
https://localhost:{$TOLLGATE_PORT} {
	tls internal
	api accounts {
		access_token
		reverse_proxy {$TOLLGATE_PAYMENTS}
	}
}
`

// sample is a token, maybe with a proof, that somebody else's code has made.
type sample struct {
	Name          string
	Status        int
	Authorization string
	Proof         string
}

// TestStrangersTokens has tokens and proofs that three other implementations of JOSE
// make, the good ones and altered ones, and an authorization server that is not ours:
// who signs and verifies by one library only finds out whether it agrees with itself.
func TestStrangersTokens(t *testing.T) {
	t.Parallel()
	folder := testenv.NPM(t, "signers")
	provider := startProvider(t, folder)
	p := newPlatformOf(t, writeConfig(t, "Caddyfile", strangers), "PROVIDER="+provider)

	var keys []*tokentest.Key
	for _, algorithm := range []string{"ES256", "PS256", "EdDSA"} { // the edge fetches them when it meets one
		keys = append(keys, tokentest.NewKey(t, algorithm, "of-"+algorithm))
		p.issuer.Rotate(keys[len(keys)-1])
	}
	t.Run("npm jose and dpop", func(t *testing.T) {
		p.trySamples(t, testenv.Node(t, folder, "sign.mjs"), keys)
	})
	t.Run("jwcrypto", func(t *testing.T) { // Debian's, so with Debian's Python
		command := exec.CommandContext(t.Context(), "/usr/bin/python3", "sign.py")
		command.Dir = folder
		p.trySamples(t, command, keys)
	})
	t.Run("npm oidc-provider", func(t *testing.T) { p.tryProvider(t, provider) })
}

// trySamples gives a signer the issuer's keys, and holds the edge to what it says of
// each thing that it makes.
func (p *platform) trySamples(t *testing.T, signer *exec.Cmd, keys []*tokentest.Key) {
	t.Helper()
	type key struct {
		Algorithm string `json:"alg"`
		ID        string `json:"kid"`
		PEM       string `json:"pem"`
	}
	var private []key
	for _, k := range keys {
		der, err := x509.MarshalPKCS8PrivateKey(k.Private)
		if err != nil {
			t.Fatal(err)
		}
		block := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
		private = append(private, key{k.Algorithm, k.ID, string(block)})
	}
	input, err := json.Marshal(map[string]any{"issuer": p.issuer.URL, "audience": p.issuer.Audience, "url": p.origin + "/", "keys": private})
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	signer.Stdin, signer.Stderr = bytes.NewReader(input), &stderr
	output, err := signer.Output()
	var samples []sample
	if err != nil || json.Unmarshal(output, &samples) != nil || len(samples) < 20 {
		t.Fatalf("%v\n%s%s", err, output, stderr.String())
	}
	for _, s := range samples {
		p.trySample(t, s)
	}
}

func (p *platform) trySample(t *testing.T, s sample) {
	t.Helper()
	options := []option{withHeader("Authorization", s.Authorization)}
	if s.Proof != "" {
		options = append(options, withHeader("Dpop", s.Proof))
	}
	before := p.service.count.Load()
	if got := p.do(t, http.MethodGet, "/", options...); got.status != s.Status {
		t.Errorf("%s: %d %s, want %d", s.Name, got.status, got.body, s.Status)
	}
	if arrived := p.service.count.Load() - before; (arrived > 0) != (s.Status == http.StatusOK) {
		t.Errorf("%s: %d requests at the service", s.Name, arrived)
	}
}

// startProvider runs oidc-provider until the test ends, and gives its issuer.
func startProvider(t *testing.T, folder string) string {
	t.Helper()
	command := testenv.Node(t, folder, "issuer.mjs")
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr := new(buffer)
	command.Stderr = stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = command.Wait() // it ends with its input, or with the test's context
	})
	var said struct{ Issuer string }
	if err := json.NewDecoder(bufio.NewReader(stdout)).Decode(&said); err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	return said.Issuer
}

// tryProvider gets tokens as any client does, and uses them.
func (p *platform) tryProvider(t *testing.T, issuer string) {
	t.Helper()
	waitFor(t, "the provider's keys", func() bool {
		age := p.metric(`tollgate_keyset_age_seconds{issuer="` + issuer + `"}`)
		return age != "0" && age != "+Inf"
	})
	const bearer, bound = "Bearer", "DPoP"
	key := tokentest.NewKey(t, "ES256", "")
	plain := p.grant(t, issuer, bearer, p.issuer.Audience, nil)
	held := p.grant(t, issuer, bound, p.issuer.Audience, key)
	proof := func() string { return key.Proof(time.Now(), http.MethodGet, p.origin+"/", held) }
	cut := strings.LastIndexByte(plain, '.')
	for _, s := range []sample{
		{"token", 200, "Bearer " + plain, ""},
		{"bound token", 200, "DPoP " + held, proof()},
		{"bound token as bearer", 401, "Bearer " + held, ""},
		{"bound token without a proof", 401, "DPoP " + held, ""},
		{"token for another resource", 401, "Bearer " + p.grant(t, issuer, bearer, "https://else.example.com", nil), ""},
		{"opaque token", 401, "Bearer " + p.grant(t, issuer, bearer, "", nil), ""},
		{"token with the signature of another", 401, "Bearer " + plain[:cut] + held[strings.LastIndexByte(held, '.'):], ""},
	} {
		p.trySample(t, s)
	}
}

// grant asks for a token by client credentials (RFC 6749 section 4.4) for a resource,
// bound to the key if there is one (RFC 9449 section 5).
func (p *platform) grant(t *testing.T, issuer, kind, resource string, key *tokentest.Key) string {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts:read"}}
	if resource != "" {
		form.Set("resource", resource)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, issuer+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("client-1", "a+secret+for+one+test+only") // form-encoded, RFC 6749 section 2.3.1
	if key != nil {
		r.Header.Set("DPoP", key.Proof(time.Now(), http.MethodPost, issuer+"/token", ""))
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	var granted struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
	}
	if err != nil || json.Unmarshal(body, &granted) != nil || granted.AccessToken == "" || granted.TokenType != kind {
		t.Fatalf("%s: %s %v", response.Status, body, err)
	}
	return granted.AccessToken
}
