package main

import (
	"cmp"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/oauth2"
)

const (
	testClientID     = "corner shop"
	testClientSecret = "s3cret/+:&"
)

// fakeTollgate answers as Tollgate does, strictly where it matters to the shop.
type fakeTollgate struct {
	t      *testing.T
	server *httptest.Server

	mu       sync.Mutex
	payments map[string]*Payment
	byKey    map[string]string     // payment by Idempotency-Key
	pushed   map[string]url.Values // parameters by request_uri
	refused  map[string]bool       // tokens that were revoked
	confirms []string              // the Idempotency-Keys that came
	tokens   int
	fail     func(http.ResponseWriter, *http.Request) bool // answers instead, if it wants to
	outcome  string                                        // status after confirm
}

func newFakeTollgate(t *testing.T) *fakeTollgate {
	f := &fakeTollgate{
		t: t, payments: map[string]*Payment{}, byKey: map[string]string{},
		pushed: map[string]url.Values{}, refused: map[string]bool{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", f.metadata)
	mux.HandleFunc("POST /oauth/par", f.par)
	mux.HandleFunc("POST /oauth/token", f.token)
	mux.HandleFunc("POST /api/payments", f.create)
	mux.HandleFunc("GET /api/payments/{id}", f.read)
	mux.HandleFunc("POST /api/payments/{id}/confirm", f.confirm)
	f.server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.fail == nil || !f.fail(w, r) {
			mux.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(f.server.Close)
	return f
}

// caFile gives a PEM file with the server's certificate.
func (f *fakeTollgate) caFile() string {
	file := filepath.Join(f.t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.server.Certificate().Raw})
	if err := os.WriteFile(file, block, 0o600); err != nil {
		f.t.Fatal(err)
	}
	return file
}

// failWith sets what answers in the fake's place.
func (f *fakeTollgate) failWith(fail func(http.ResponseWriter, *http.Request) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

// failFirst answers the first n requests for a path with a status.
func (f *fakeTollgate) failFirst(n int, path string, status int, header http.Header) {
	f.failWith(func(w http.ResponseWriter, r *http.Request) bool {
		if n == 0 || r.URL.Path != path {
			return false
		}
		n--
		for name := range header {
			w.Header().Set(name, header.Get(name))
		}
		refuse(w, status, "refused_by_test")
		return true
	})
}

func (f *fakeTollgate) setOutcome(status string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.outcome = status
}

func (f *fakeTollgate) setStatus(id, status string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.payments[id].Status = status
}

// counts gives the number of payments and the confirms that came.
func (f *fakeTollgate) counts() (payments int, confirms []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.payments), append([]string(nil), f.confirms...)
}

// onlyPayment gives the one payment that there is to be.
func (f *fakeTollgate) onlyPayment() Payment {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.payments) != 1 {
		f.t.Fatalf("%d payments, want 1", len(f.payments))
	}
	for _, payment := range f.payments {
		return *payment
	}
	return Payment{}
}

// request gives the pushed parameters that an authorization address stands for.
func (f *fakeTollgate) request(address string) url.Values {
	f.t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		f.t.Fatal(err)
	}
	if !strings.HasPrefix(address, f.server.URL+"/oauth/authorize?") || u.Query().Get("client_id") != testClientID || len(u.Query()) != 2 {
		f.t.Fatalf("not an authorization address: %s", address)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	pushed, ok := f.pushed[u.Query().Get("request_uri")]
	if !ok {
		f.t.Fatalf("request_uri unknown: %s", address)
	}
	return pushed
}

func (f *fakeTollgate) metadata(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, metadata{
		Issuer: f.server.URL, Authorization: f.server.URL + "/oauth/authorize",
		Token: f.server.URL + "/oauth/token", PAR: f.server.URL + "/oauth/par",
	})
}

func (f *fakeTollgate) authenticated(w http.ResponseWriter, r *http.Request) bool {
	id, secret, _ := r.BasicAuth()
	id, _ = url.QueryUnescape(id)
	secret, _ = url.QueryUnescape(secret)
	if id == testClientID && secret == testClientSecret {
		return true
	}
	answer(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client"})
	return false
}

func (f *fakeTollgate) par(w http.ResponseWriter, r *http.Request) {
	if !f.authenticated(w, r) {
		return
	}
	_ = r.ParseForm()
	uri := fmt.Sprintf("urn:ietf:params:oauth:request_uri:%d", len(f.pushed))
	f.pushed[uri] = r.PostForm
	answer(w, http.StatusCreated, map[string]any{"request_uri": uri, "expires_in": 60})
}

// token takes as a code the request_uri of the request that it would be for.
func (f *fakeTollgate) token(w http.ResponseWriter, r *http.Request) {
	if !f.authenticated(w, r) {
		return
	}
	f.tokens++
	token := fmt.Sprintf("shop-%d", f.tokens)
	if r.PostFormValue("grant_type") == "authorization_code" {
		pushed, ok := f.pushed[r.PostFormValue("code")]
		if !ok || pushed.Get("code_challenge") != oauth2.S256ChallengeFromVerifier(r.PostFormValue("code_verifier")) ||
			pushed.Get("redirect_uri") != r.PostFormValue("redirect_uri") {
			answer(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant"})
			return
		}
		token = "user-" + token
	}
	answer(w, http.StatusOK, map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 300})
}

func (f *fakeTollgate) authorized(w http.ResponseWriter, r *http.Request, prefix string) bool {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if strings.HasPrefix(token, prefix) && !f.refused[token] {
		return true
	}
	refuse(w, http.StatusUnauthorized, "invalid_token")
	return false
}

func (f *fakeTollgate) create(w http.ResponseWriter, r *http.Request) {
	if !f.authorized(w, r, "shop-") {
		return
	}
	var wanted struct {
		Amount   Money             `json:"amount"`
		EndToEnd string            `json:"end_to_end_id"`
		Metadata map[string]string `json:"metadata"`
	}
	key := r.Header.Get("Idempotency-Key")
	if err := json.NewDecoder(r.Body).Decode(&wanted); err != nil || key != `"`+wanted.EndToEnd+`"` || wanted.Metadata["order_id"] == "" {
		refuse(w, http.StatusBadRequest, "invalid_request")
		return
	}
	if id, ok := f.byKey[key]; ok {
		answer(w, http.StatusCreated, f.payments[id])
		return
	}
	id := fmt.Sprintf("pay-%d", len(f.payments)+1)
	details := fmt.Sprintf(`{"type":"payment_initiation","paymentId":%q,"cents":%d}`, id, wanted.Amount.Value)
	f.byKey[key] = id
	f.payments[id] = &Payment{ID: id, Status: "requires_consent", Amount: wanted.Amount, AuthorizationDetails: json.RawMessage(details)}
	answer(w, http.StatusCreated, f.payments[id])
}

func (f *fakeTollgate) read(w http.ResponseWriter, r *http.Request) {
	if f.authorized(w, r, "shop-") {
		answer(w, http.StatusOK, f.payments[r.PathValue("id")])
	}
}

func (f *fakeTollgate) confirm(w http.ResponseWriter, r *http.Request) {
	if !f.authorized(w, r, "user-") {
		return
	}
	f.confirms = append(f.confirms, r.Header.Get("Idempotency-Key"))
	payment := f.payments[r.PathValue("id")]
	payment.Status = cmp.Or(f.outcome, "succeeded")
	answer(w, http.StatusOK, payment)
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"status": status, "code": code})
}
