// Command guide is the walk of docs/guide.md in Go: it creates a payment, waits for
// a user's consent, confirms the payment, and refunds a part of it.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

func main() {
	base := flag.String("base", "https://localhost:8443", "where Tollgate is, which is its issuer too")
	ca := flag.String("ca", "", "a certificate authority to trust")
	client := flag.String("client", "my-app", "the client's id; its secret is in CLIENT_SECRET")
	callback := flag.String("callback", "http://localhost:9999/callback", "the redirect URI that the client is registered with")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	transport, err := trusting(*ca)
	if err != nil {
		log.Fatal(err)
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: transport, Timeout: 10 * time.Second})
	a, err := discover(ctx, *base, *client, os.Getenv("CLIENT_SECRET"), *callback)
	if err == nil {
		err = a.walk(ctx)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// trusting trusts the file's authority, or the system's if there is no file.
func trusting(ca string) (http.RoundTripper, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	if ca == "" {
		return t, nil
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificate", ca)
	}
	t.TLSClientConfig = &tls.Config{RootCAs: roots}
	return t, nil
}

// app is a client of the platform, and knows where everything is.
type app struct {
	base string
	par  string // the endpoint of pushed authorization requests
	user oauth2.Config
	own  clientcredentials.Config
}

func discover(ctx context.Context, base, id, secret, callback string) (*app, error) {
	var found struct {
		Issuer string `json:"issuer"`
		Auth   string `json:"authorization_endpoint"`
		Token  string `json:"token_endpoint"`
		PAR    string `json:"pushed_authorization_request_endpoint"`
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/.well-known/oauth-authorization-server", http.NoBody)
	if err != nil {
		return nil, err
	}
	if err := send(oauth2.NewClient(ctx, nil), r, &found); err != nil {
		return nil, err
	}
	if found.Issuer != base {
		return nil, fmt.Errorf("the issuer is %q, not %q", found.Issuer, base)
	}
	return &app{
		base: base, par: found.PAR,
		user: oauth2.Config{
			ClientID: id, ClientSecret: secret, RedirectURL: callback, Scopes: []string{"payments:confirm"},
			Endpoint: oauth2.Endpoint{AuthURL: found.Auth, TokenURL: found.Token, AuthStyle: oauth2.AuthStyleInHeader},
		},
		own: clientcredentials.Config{
			ClientID: id, ClientSecret: secret, TokenURL: found.Token, AuthStyle: oauth2.AuthStyleInHeader,
			Scopes: []string{"payments:create", "payments:read", "payments:refund", "webhooks:read"},
		},
	}, nil
}

// walk is the whole way. Each line of output is a step.
func (a *app) walk(ctx context.Context) error {
	own := a.own.Client(ctx) // gets tokens as it needs them
	order := "order-" + rand.Text()
	var payment payment
	err := a.post(ctx, own, "/api/payments", order, map[string]any{
		"amount":        money{12350, "EUR"},
		"description":   "Two lamps",
		"end_to_end_id": order,
	}, &payment)
	if err != nil {
		return err
	}
	fmt.Println("created", payment.ID, payment.Status)

	token, err := a.consent(ctx, payment)
	if err != nil {
		return err
	}
	user := oauth2.NewClient(ctx, oauth2.StaticTokenSource(token))
	if err := a.post(ctx, user, "/api/payments/"+payment.ID+"/confirm", "confirm-"+order, nil, &payment); err != nil {
		return err
	}
	fmt.Println("confirmed", payment.ID, payment.Status)

	var refund struct {
		ID     string `json:"id"`
		Amount money  `json:"amount"`
	}
	err = a.post(ctx, own, "/api/payments/"+payment.ID+"/refunds", "refund-"+order, map[string]any{"amount": money{4500, "EUR"}}, &refund)
	if err != nil {
		return err
	}
	fmt.Println("refunded", refund.Amount.Value, refund.Amount.Currency)

	return a.listen(ctx, own, payment.ID)
}

// listen follows the feed of events until it tells of the refund: an event is there
// a moment after what it tells of. The cursor goes on behind the last one.
func (a *app) listen(ctx context.Context, own *http.Client, payment string) error {
	var feed struct {
		Data []struct {
			Type string `json:"type"`
		} `json:"data"`
		NextCursor string `json:"next_cursor"`
	}
	for {
		query := url.Values{"subject": {payment}, "cursor": {feed.NextCursor}}
		if feed.NextCursor == "" {
			query.Del("cursor")
		}
		if err := a.get(ctx, own, "/api/events?"+query.Encode(), &feed); err != nil {
			return err
		}
		for _, event := range feed.Data {
			fmt.Println("told", event.Type)
			if event.Type == "payment.refunded" {
				return nil
			}
		}
		time.Sleep(time.Second)
	}
}

// money is in minor units, and never a floating-point number.
type money struct {
	Value    int64  `json:"value"`
	Currency string `json:"currency"`
}

type payment struct {
	ID     string `json:"id"`
	Status string `json:"status"`
	// Details is what to ask the user for, to be passed on untouched.
	Details json.RawMessage `json:"authorization_details"`
}

// consent asks the user, and gives the token that pays this payment.
func (a *app) consent(ctx context.Context, p payment) (*oauth2.Token, error) {
	state, verifier := rand.Text(), oauth2.GenerateVerifier()
	address, err := a.push(ctx, a.user.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier),
		oauth2.SetAuthURLParam("authorization_details", "["+string(p.Details)+"]")))
	if err != nil {
		return nil, err
	}
	fmt.Println("open", address)
	back, err := a.wait(ctx)
	if err != nil {
		return nil, err
	}
	if back.Get("state") != state || back.Get("iss") != a.base {
		return nil, fmt.Errorf("this answer is not to our question: %s", back.Encode())
	}
	if back.Get("error") != "" {
		return nil, fmt.Errorf("no consent: %s", back.Get("error"))
	}
	return a.user.Exchange(ctx, back.Get("code"), oauth2.VerifierOption(verifier))
}

// push takes what the library would put into the browser's address to the server
// instead (PAR), and gives the short address that stands for it.
func (a *app) push(ctx context.Context, address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.par, strings.NewReader(u.RawQuery))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(url.QueryEscape(a.user.ClientID), url.QueryEscape(a.user.ClientSecret))
	var pushed struct {
		RequestURI string `json:"request_uri"`
	}
	if err := send(oauth2.NewClient(ctx, nil), r, &pushed); err != nil {
		return "", err
	}
	return a.user.Endpoint.AuthURL + "?" + url.Values{"client_id": {a.user.ClientID}, "request_uri": {pushed.RequestURI}}.Encode(), nil
}

// wait is the end of the redirect: one request of the user's browser.
func (a *app) wait(ctx context.Context) (url.Values, error) {
	callback, err := url.Parse(a.user.RedirectURL)
	if err != nil {
		return nil, err
	}
	came := make(chan url.Values, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+callback.Path, func(w http.ResponseWriter, r *http.Request) {
		select {
		case came <- r.URL.Query():
		default: // the first counts
		}
		_, _ = fmt.Fprintln(w, "Thank you. You can close this window.")
	})
	server := &http.Server{Addr: callback.Host, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.ListenAndServe() }()
	defer func() { _ = server.Shutdown(context.WithoutCancel(ctx)) }() // lets the answer go out
	select {
	case back := <-came:
		return back, nil
	case err := <-ended:
		return nil, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// post does one thing once, however often it is sent with the same key.
func (a *app) post(ctx context.Context, client *http.Client, path, key string, body, answer any) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	var err error
	for range 3 {
		r, wrong := http.NewRequestWithContext(ctx, http.MethodPost, a.base+path, bytes.NewReader(text))
		if wrong != nil {
			return wrong
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", key)
		if err = send(client, r, answer); err == nil || refused(err) {
			return err
		}
		time.Sleep(time.Second)
	}
	return err
}

func (a *app) get(ctx context.Context, client *http.Client, path string, answer any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, a.base+path, http.NoBody)
	if err != nil {
		return err
	}
	return send(client, r, answer)
}

// problem is how every refusal is told (RFC 9457). Go by the code.
type problem struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

func (p *problem) Error() string { return fmt.Sprintf("%d %s: %s", p.Status, p.Code, p.Detail) }

// refused tells whether sending the same again would be answered the same.
func refused(err error) bool {
	var p *problem
	return errors.As(err, &p) && p.Status < 500 && p.Status != http.StatusTooManyRequests
}

// send reads the answer into v, or gives why there is none.
func send(client *http.Client, r *http.Request, v any) error {
	res, err := client.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return err
	}
	if res.StatusCode >= 300 {
		refusal := &problem{}
		_ = json.Unmarshal(body, refusal) // what is in between may answer in its own way
		refusal.Status = res.StatusCode
		return refusal
	}
	return json.Unmarshal(body, v)
}
