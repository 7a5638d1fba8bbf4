package auth

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/money"
)

// The people and accounts of every world.
const (
	aliceID        = "0190aaaa-0000-7000-8000-000000000001"
	aliceAccount   = "0190bbbb-0000-7000-8000-000000000001"
	alicePoor      = "0190bbbb-0000-7000-8000-000000000002"
	bobAccount     = "0190bbbb-0000-7000-8000-000000000003"
	shopAccount    = "0190bbbb-0000-7000-8000-000000000009"
	alicePassword  = "correct horse battery staple"
	paymentID      = "0190cccc-0000-7000-8000-000000000001"
	paymentDecimal = "1234.50"
)

// details is the authorization_details of the payment that the stub has.
func details(edits ...edit) string {
	object := map[string]any{
		"type": "payment_initiation", "paymentId": paymentID,
		"instructedAmount": map[string]any{"currency": "EUR", "amount": paymentDecimal},
		"creditorName":     "Corner Shop", "creditorAccount": map[string]any{"id": shopAccount},
	}
	for _, e := range edits {
		e(object)
	}
	raw, _ := json.Marshal([]any{object}) // maps of strings
	return string(raw)
}

// paying asks for the payment beside the scopes.
func paying(v url.Values) {
	v.Set("scope", "payments:confirm")
	v.Set("authorization_details", details())
}

// stub is a service beside the server that knows the server by its token.
type stub struct {
	w     *world
	scope string
	mu    sync.Mutex
	fail  bool // answer 500
	calls int
	also  func() // runs before the answer
}

func (s *stub) serve(t *testing.T, mux http.Handler) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.calls++
		fail, also := s.fail, s.also
		s.mu.Unlock()
		if also != nil {
			also()
		}
		if fail {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		claims := s.w.claimsOf(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		aud, _ := claims["aud"].([]any)
		if len(aud) != 1 || aud[0] != internalAudience || claims["scope"] != s.scope || claims["sub"] != "tollgate-auth" ||
			claims["client_id"] != "tollgate-auth" || claims["iss"] != s.w.issuer {
			t.Errorf("the token of an internal call: %v", claims)
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// meanwhile has something happen while the service is asked.
func (s *stub) meanwhile(also func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.also = also
}

func (s *stub) setFail(fail bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fail
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // a map of strings and numbers
}

type usersStub struct{ stub }

func newUsersStub(w *world) *usersStub { return &usersStub{stub{w: w, scope: "internal:users"}} }

func (s *usersStub) start(t *testing.T) string {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /internal/password-checks", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Username, Password string }
		_ = json.NewDecoder(r.Body).Decode(&in) // an empty pair is refused below
		switch {
		case in.Username == "locked":
			writeJSON(w, map[string]any{"result": "locked", "retry_after": 30})
		case in.Username == "alice" && in.Password == alicePassword:
			user := map[string]string{"id": aliceID, "username": "alice", "name": "Alice Archer", "email": "alice@example.com"}
			writeJSON(w, map[string]any{"result": "ok", "user": user})
		default:
			writeJSON(w, map[string]any{"result": "refused"})
		}
	})
	return s.serve(t, mux)
}

type paymentsStub struct {
	stub
	payment map[string]any // the one payment; nil is 404
}

func newPaymentsStub(w *world) *paymentsStub {
	return &paymentsStub{stub: stub{w: w, scope: "internal:payments"}, payment: map[string]any{
		"id": paymentID, "client_id": "shop", "status": "requires_consent", "description": "Order 1042",
		"amount":     money.Amount{Value: 123450, Currency: "EUR"},
		"creditor":   map[string]any{"name": "Corner Shop", "account_id": shopAccount},
		"expires_at": time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
	}}
}

// change alters the payment, as its client or time may do behind the consent page.
func (s *paymentsStub) change(edits ...edit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.payment = maps.Clone(s.payment)
	for _, e := range edits {
		e(s.payment)
	}
}

func (s *paymentsStub) start(t *testing.T) string {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /internal/payments/{id}", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		payment := s.payment
		s.mu.Unlock()
		if payment == nil || r.PathValue("id") != paymentID {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		writeJSON(w, payment)
	})
	mux.HandleFunc("GET /internal/accounts", func(w http.ResponseWriter, r *http.Request) {
		account := func(id, name string, value int64) map[string]any {
			return map[string]any{"id": id, "name": name, "currency": "EUR", "available": money.Amount{Value: value, Currency: "EUR"}}
		}
		list := []any{}
		if r.FormValue("owner") == aliceID && r.FormValue("currency") == "EUR" {
			list = []any{account(alicePoor, "Pocket money", 1000), account(aliceAccount, "Everyday", 250000)}
		}
		writeJSON(w, map[string]any{"data": list})
	})
	return s.serve(t, mux)
}
