package payments

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/backends/internal/databasetest"
	"github.com/open-tollgate/tollgate/backends/internal/idempotency"
	"github.com/open-tollgate/tollgate/backends/internal/tokencheck"
	"github.com/open-tollgate/tollgate/internal/access"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

const origin = "https://localhost:8443"

// platform is the service with an issuer, a shop, and a user with a wallet.
type platform struct {
	t        testing.TB
	dsn      string
	db       *database.DB
	server   *Server
	handler  http.Handler // the server, held to its document
	issuer   *tokentest.Issuer
	logs     logBuffer
	clock    atomic.Int64
	wallet   Account // of the user ada: 1000.00 EUR
	merchant Account // of the client shop
}

// fresh gives databases of the service.
var fresh = databasetest.NewTemplate(OpenDatabase)

func forEach(t *testing.T, test func(*platform)) {
	t.Helper()
	fresh.ForEach(t, func(t *testing.T, dsn string) { test(newPlatform(t, dsn)) })
}

func newPlatform(t testing.TB, dsn string) *platform {
	t.Helper()
	db, err := OpenDatabase(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	p := &platform{t: t, dsn: dsn, db: db, issuer: tokentest.NewIssuer(t, origin)}
	p.clock.Store(time.Now().UnixMicro())
	keys := httptest.NewServer(p.issuer.Handler())
	t.Cleanup(keys.Close)
	p.server = p.newServer(keys.URL)
	p.handler = described(t).Handler(t, p.server)
	if p.wallet, err = OpenAccount(t.Context(), db, "ada", "Everyday", "EUR", 100_000); err != nil {
		t.Fatal(err)
	}
	// Tests pay as often as no person does; those of the rules turn them on again.
	if _, err := db.Exec(`UPDATE risk_rules SET enabled = FALSE WHERE id LIKE 'user_count%'`); err != nil {
		t.Fatal(err)
	}
	if p.merchant, err = AddMerchant(t.Context(), db, "shop", "Corner Shop", "EUR"); err != nil {
		t.Fatal(err)
	}
	return p
}

// newServer makes one more instance of the service on the same database.
func (p *platform) newServer(keysURL string) *Server {
	p.t.Helper()
	gates, err := tokencheck.NewGates(tokencheck.Config{Issuer: origin, JWKSURL: keysURL, Audience: origin + "/api", Origin: origin})
	if err != nil {
		p.t.Fatal(err)
	}
	gates.Start(p.t.Context())
	secrets, err := OpenVault(filepath.Join(p.t.TempDir(), "key"))
	if err != nil {
		p.t.Fatal(err)
	}
	return New(Config{
		DB: p.db, Gates: gates, Vault: secrets,
		WebhookAllowPrivate: true, Now: p.now, StepUp: access.StepUp{ACR: []string{"gold"}, MaxAge: 5 * time.Minute},
		Logger: slog.New(slog.NewJSONHandler(&p.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
}

func (p *platform) now() time.Time          { return time.UnixMicro(p.clock.Load()) }
func (p *platform) advance(d time.Duration) { p.clock.Add(d.Microseconds()) }

// clientToken is a client's own token.
func (p *platform) clientToken(client, scope string) string {
	return p.issuer.Token(tokentest.Claim("sub", client), tokentest.Claim("client_id", client), tokentest.Claim("scope", scope))
}

// userToken is a token that a user gave to the shop, with what was consented to.
func (p *platform) userToken(user, scope string, details ...any) string {
	options := []tokentest.Option{
		tokentest.Claim("sub", user), tokentest.Claim("client_id", "shop"), tokentest.Claim("scope", scope),
	}
	if len(details) > 0 {
		options = append(options, tokentest.Claim("authorization_details", details))
	}
	return p.issuer.Token(options...)
}

// internalToken is one as the authorization server makes it for itself.
func (p *platform) internalToken() string {
	return p.issuer.Token(tokentest.Claim("aud", tokencheck.InternalAudience), tokentest.Claim("sub", "tollgate-auth"),
		tokentest.Claim("client_id", "tollgate-auth"), tokentest.Claim("scope", "internal:payments"))
}

func (p *platform) shopToken() string { return p.clientToken("shop", "payments:create payments:read") }

// request is a call of the API. The key is random when empty; "-" sends none.
type request struct {
	method, path, token, key string
	body                     any // a string is sent as it is
	header                   map[string]string
}

// answer is what came back.
type answer struct {
	*httptest.ResponseRecorder
	t testing.TB
}

func (p *platform) call(q request) answer {
	p.t.Helper()
	var body io.Reader = http.NoBody
	switch b := q.body.(type) {
	case nil:
	case string:
		body = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			p.t.Fatal(err)
		}
		body = bytes.NewReader(text)
	}
	r := httptest.NewRequest(q.method, q.path, body)
	r.Header.Set("Content-Type", "application/json")
	if q.token != "" {
		r.Header.Set("Authorization", "Bearer "+q.token)
	}
	if q.key == "" {
		q.key = uuid.NewString()
	}
	if q.method == http.MethodPost && q.key != "-" {
		r.Header.Set(idempotency.Header, q.key)
	}
	for name, value := range q.header {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	p.handler.ServeHTTP(w, r)
	return answer{w, p.t}
}

// expect fails the test unless the answer has the status and, if it is a refusal, the code.
func (a answer) expect(status int, code string) answer {
	a.t.Helper()
	var said struct{ Code string }
	_ = json.Unmarshal(a.Body.Bytes(), &said) // a list or no body has no code
	if a.Code != status || said.Code != code {
		a.t.Fatalf("got %d %q, want %d %q\n%s", a.Code, said.Code, status, code, a.Body)
	}
	return a
}

// decode reads the body into v.
func (a answer) decode(v any) {
	a.t.Helper()
	if err := json.Unmarshal(a.Body.Bytes(), v); err != nil {
		a.t.Fatalf("%v\n%s", err, a.Body)
	}
}

func (a answer) payment() (v paymentView) {
	a.t.Helper()
	a.decode(&v)
	return v
}

type object = map[string]any

// order is the body of a payment of so many cents.
func order(cents int64) object {
	return object{"amount": object{"value": cents, "currency": "EUR"}, "description": "Order 7", "end_to_end_id": uuid.NewString()}
}

// create makes a payment that waits for consent.
func (p *platform) create(cents int64) paymentView {
	p.t.Helper()
	return p.call(request{method: "POST", path: "/api/payments", token: p.shopToken(), body: order(cents)}).expect(201, "").payment()
}

// consent is what ada agreed to, to pay from her wallet.
func (p *platform) consent(v paymentView) object { p.t.Helper(); return p.consentFrom(p.wallet, v) }

func (p *platform) consentFrom(wallet Account, v paymentView) object {
	p.t.Helper()
	text, err := json.Marshal(v.AuthorizationDetails)
	if err != nil {
		p.t.Fatal(err)
	}
	var details object
	if err := json.Unmarshal(text, &details); err != nil {
		p.t.Fatal(err)
	}
	details["debtorAccount"] = object{"id": wallet.ID}
	return details
}

// confirmation is ada's call that pays, ready to be made.
func (p *platform) confirmation(v paymentView) request {
	p.t.Helper()
	return p.confirmationFrom(p.wallet, v)
}

// confirmationFrom is the call of a wallet's owner.
func (p *platform) confirmationFrom(wallet Account, v paymentView) request {
	p.t.Helper()
	return request{
		method: "POST", path: "/api/payments/" + v.ID + "/confirm",
		token: p.userToken(wallet.Owner, "payments:confirm payments:read", p.consentFrom(wallet, v)), key: uuid.NewString(),
	}
}

// walletOf opens a wallet for one more user.
func (p *platform) walletOf(user string, cents int64) Account {
	p.t.Helper()
	wallet, err := OpenAccount(p.t.Context(), p.db, user, "Everyday", "EUR", cents)
	if err != nil {
		p.t.Fatal(err)
	}
	return wallet
}

// available is what an account has to spend.
func (p *platform) available(a Account) int64 {
	p.t.Helper()
	token := p.userToken(a.Owner, "accounts:read")
	if a.Owner == "shop" {
		token = p.clientToken("shop", "accounts:read")
	}
	var v accountView
	p.call(request{method: "GET", path: "/api/accounts/" + a.ID, token: token}).expect(200, "").decode(&v)
	return v.Balances.Available.Value
}

// booksAreRight fails the test when they are not.
func (p *platform) booksAreRight() {
	p.t.Helper()
	if err := VerifyLedger(p.t.Context(), p.db, p.now()); err != nil {
		p.t.Error(err)
	}
}

// count gives the number that a query counts.
func (p *platform) count(query string, args ...any) (n int) {
	p.t.Helper()
	if err := p.db.QueryRow(query, args...).Scan(&n); err != nil {
		p.t.Fatal(err)
	}
	return n
}
