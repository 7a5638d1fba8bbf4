package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"log"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"

	"github.com/open-tollgate/tollgate/backends/auth/internal/store"
	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/backends/internal/databasetest"
)

// world is a running authorization server with the services beside it.
type world struct {
	t        *testing.T
	issuer   string
	server   *Server
	http     *http.Client
	users    *usersStub
	payments *paymentsStub
	log      *syncBuffer
	offset   atomic.Int64 // of the server's clock
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldOn(t, fresh.SQLite(t))
}

// fresh gives databases with the server's tables, and nothing in them.
var fresh = databasetest.NewTemplate(func(ctx context.Context, dsn string) (*database.DB, error) {
	db, err := database.Open(ctx, dsn, "auth")
	if err != nil {
		return nil, err
	}
	return db, store.Migrate(ctx, db)
})

func newWorldOn(t *testing.T, dsn string, configure ...func(*Config)) *world {
	t.Helper()
	w := &world{t: t, log: &syncBuffer{}}
	front := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.server.ServeHTTP(rw, r) }))
	w.issuer = "https://" + front.Listener.Addr().String()
	w.users, w.payments = newUsersStub(w), newPaymentsStub(w)
	cfg := Config{
		Database: dsn, SecretFile: filepath.Join(t.TempDir(), "master.key"), Issuer: w.issuer,
		UsersURL: w.users.start(t), PaymentsURL: w.payments.start(t),
		Logger: slog.New(slog.NewJSONHandler(w.log, nil)),
		Now:    func() time.Time { return time.Now().Add(time.Duration(w.offset.Load())) },
	}
	for _, c := range configure {
		c(&cfg)
	}
	var err error
	if w.server, err = New(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	front.Config.ErrorLog = log.New(io.Discard, "", 0) // racing clients hang up
	front.StartTLS()
	w.http = front.Client()
	w.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t.Cleanup(func() {
		front.Close()
		_ = w.server.Close()
	})
	return w
}

// advance moves the server's clock, as far as it is ours; the library has its own.
func (w *world) advance(d time.Duration) { w.offset.Add(int64(d)) }

func (w *world) exec(query string, args ...any) {
	w.t.Helper()
	if _, err := w.server.registry.db.ExecContext(w.t.Context(), query, args...); err != nil {
		w.t.Fatal(err)
	}
}

// syncBuffer is a log that a test can read while the server writes.
type syncBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// app is a client of the server, with its credentials.
type app struct {
	w *world
	Registered
	key   jwk.Key // fapi2: signs assertions
	proof jwk.Key // signs DPoP proofs; nil sends none
}

var userScopes = []string{"openid", "profile:read", "accounts:read", "payments:read", "payments:confirm"}

func (w *world) app(reg Registration) *app {
	w.t.Helper()
	if reg.Name == "" {
		reg.Name = "Corner Shop"
	}
	if reg.Scopes == nil {
		reg.Scopes = append(slices.Clone(userScopes), "payments:create")
	}
	if reg.GrantTypes == nil {
		reg.GrantTypes = []string{"authorization_code", "refresh_token", "client_credentials"}
		reg.RedirectURIs = []string{"https://shop.example/callback"}
	}
	registered, err := w.server.registry.AddClient(w.t.Context(), reg)
	if err != nil {
		w.t.Fatal(err)
	}
	a := &app{w: w, Registered: registered}
	if reg.Kind == "fapi2" {
		if a.key, err = jwk.ParseKey(registered.JWK); err != nil {
			w.t.Fatal(err)
		}
		a.proof = newKey(w.t)
	}
	return a
}

func (w *world) standard() *app { return w.app(Registration{ID: "shop", Kind: "standard"}) }

func (w *world) fapi2() *app {
	return w.app(Registration{ID: "finance", Kind: "fapi2", GenerateKey: true})
}

func newKey(t testing.TB) jwk.Key {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return importKey(t, private, jwa.ES256())
}

func importKey(t testing.TB, private any, alg jwa.SignatureAlgorithm) jwk.Key {
	t.Helper()
	key, err := jwk.Import(private)
	if err != nil {
		t.Fatal(err)
	}
	if err := key.Set(jwk.AlgorithmKey, alg); err != nil {
		t.Fatal(err)
	}
	return key
}

func thumbprint(t testing.TB, key jwk.Key) string {
	t.Helper()
	sum, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}

// sign makes a compact JWS of the claims.
func sign(t testing.TB, key jwk.Key, header, claims map[string]any) string {
	t.Helper()
	protected := jws.NewHeaders()
	for name, value := range header {
		if err := protected.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	alg, _ := key.Algorithm()
	signed, err := jws.Sign(payload, jws.WithKey(alg, key, jws.WithProtectedHeaders(protected)))
	if err != nil {
		t.Fatal(err)
	}
	return string(signed)
}

// edit changes claims or a form before they are used.
type edit func(map[string]any)

func set(name string, value any) edit { return func(m map[string]any) { m[name] = value } }

func drop(name string) edit { return func(m map[string]any) { delete(m, name) } }

func (a *app) assertion(edits ...edit) string {
	a.w.t.Helper()
	now := time.Now()
	claims := map[string]any{
		"iss": a.ClientID, "sub": a.ClientID, "aud": a.w.issuer, "jti": uuid.NewString(),
		"iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	}
	for _, e := range edits {
		e(claims)
	}
	kid, _ := a.key.KeyID()
	return sign(a.w.t, a.key, map[string]any{"kid": kid}, claims)
}

func dpopProof(t testing.TB, key jwk.Key, method, url string, edits ...edit) string {
	t.Helper()
	claims := map[string]any{"htm": method, "htu": url, "iat": time.Now().Unix(), "jti": uuid.NewString()}
	for _, e := range edits {
		e(claims)
	}
	public, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return sign(t, key, map[string]any{"typ": "dpop+jwt", "jwk": public}, claims)
}

// reply is the answer of an endpoint.
type reply struct {
	status int
	header http.Header
	body   map[string]any
}

func (r reply) text(name string) string {
	s, _ := r.body[name].(string)
	return s
}

// wants fails the test unless the reply is this error.
func (r reply) wants(t testing.TB, status int, code string) {
	t.Helper()
	if r.status != status || r.text("error") != code {
		t.Errorf("got %d %v, want %d %s", r.status, r.body, status, code)
	}
}

// ok fails the test unless the reply is a success.
func (r reply) ok(t testing.TB) reply {
	t.Helper()
	if r.status != http.StatusOK && r.status != http.StatusCreated {
		t.Fatalf("got %d %v", r.status, r.body)
	}
	return r
}

func (w *world) do(r *http.Request) reply {
	w.t.Helper()
	answer, err := w.http.Do(r)
	if err != nil {
		w.t.Error(err)
		return reply{}
	}
	defer func() { _ = answer.Body.Close() }()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Error(err)
	}
	result := reply{status: answer.StatusCode, header: answer.Header}
	_ = json.Unmarshal(raw, &result.body) // a page is no JSON
	return result
}

// request makes the request of a well-behaved client; edits of the form come first.
func (a *app) request(path string, form url.Values) *http.Request {
	a.w.t.Helper()
	form = maps.Clone(form)
	if a.key != nil && !form.Has("client_assertion") {
		form.Set("client_assertion", a.assertion())
	}
	if form.Has("client_assertion") {
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	}
	target := a.w.issuer + path
	r, err := http.NewRequestWithContext(a.w.t.Context(), http.MethodPost, target, strings.NewReader(form.Encode()))
	if err != nil {
		a.w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if a.ClientSecret != "" {
		r.SetBasicAuth(a.ClientID, a.ClientSecret)
	}
	if a.proof != nil && path == tokenPath {
		r.Header.Set("DPoP", dpopProof(a.w.t, a.proof, http.MethodPost, target))
	}
	return r
}

func (a *app) post(path string, form url.Values) reply {
	a.w.t.Helper()
	return a.w.do(a.request(path, form))
}

const verifier = "a-code-verifier-that-is-long-enough-for-the-rules-of-rfc-7636"

// pushForm is a well-formed authorization request.
func (a *app) pushForm(edits ...func(url.Values)) url.Values {
	sum := sha256.Sum256([]byte(verifier))
	form := url.Values{
		"client_id": {a.ClientID}, "response_type": {"code"}, "redirect_uri": {a.RedirectURIs[0]}, "state": {"st-1"},
		"code_challenge_method": {"S256"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])},
		"scope": {"openid accounts:read"},
	}
	for _, e := range edits {
		e(form)
	}
	return form
}

func with(name, value string) func(url.Values) { return func(v url.Values) { v.Set(name, value) } }

func without(name string) func(url.Values) { return func(v url.Values) { v.Del(name) } }

// push gives the request_uri of a pushed request.
func (a *app) push(edits ...func(url.Values)) string {
	a.w.t.Helper()
	return a.post(parPath, a.pushForm(edits...)).ok(a.w.t).text("request_uri")
}

func (a *app) codeForm(code string) url.Values {
	return url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {a.RedirectURIs[0]}, "code_verifier": {verifier},
	}
}

func (a *app) redeem(code string) reply {
	a.w.t.Helper()
	return a.post(tokenPath, a.codeForm(code))
}

func refreshForm(token string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
}

func ownForm(scope string) url.Values {
	return url.Values{"grant_type": {"client_credentials"}, "scope": {scope}}
}

// code walks a new browser through sign-in and consent.
func (a *app) code(edits ...func(url.Values)) string {
	a.w.t.Helper()
	return a.w.browser().consent(a, a.push(edits...))
}

// tokens is the whole flow up to the token response.
func (a *app) tokens(edits ...func(url.Values)) reply {
	a.w.t.Helper()
	return a.redeem(a.code(edits...)).ok(a.w.t)
}

// claimsOf verifies a token against the published keys and gives its claims.
func (w *world) claimsOf(token string) map[string]any {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.issuer+jwksPath, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	answer, err := w.http.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	keys, err := jwk.ParseReader(answer.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	payload, err := jws.Verify([]byte(token), jws.WithKeySet(keys))
	if err != nil {
		w.t.Fatalf("token: %v", err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		w.t.Fatal(err)
	}
	return claims
}
