package webhook

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// A stranger's library takes what we sign, and not what was altered.
func TestSendIsVerifiedByAStranger(t *testing.T) {
	t.Parallel()
	old, current := NewSecret(), NewSecret()
	var verified, refused atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		for _, secret := range [][]byte{old, current} {
			receiver, err := standardwebhooks.NewWebhook(FormatSecret(secret))
			if err != nil {
				t.Error(err)
				continue
			}
			if err := receiver.Verify(body, r.Header); err == nil {
				verified.Add(1)
			}
			if err := receiver.Verify(append(body, ' '), r.Header); err != nil {
				refused.Add(1)
			}
		}
		if stranger, _ := standardwebhooks.NewWebhook(FormatSecret(NewSecret())); stranger.Verify(body, r.Header) == nil {
			t.Error("another secret verifies")
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()
	outcome := NewSender(true, time.Now).Send(t.Context(), Message{
		URL: server.URL, ID: "evt-1", Secrets: [][]byte{old, current}, Body: []byte(`{"type":"x"}`),
	})
	if !outcome.Delivered() || verified.Load() != 2 || refused.Load() != 2 {
		t.Errorf("got %+v; %d verified, %d refused", outcome, verified.Load(), refused.Load())
	}
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	for status, want := range map[int][3]bool{ // delivered, gone, busy
		200: {true, false, false}, 204: {true, false, false}, 301: {}, 302: {}, 308: {}, 400: {}, 401: {}, 404: {},
		410: {false, true, false}, 429: {false, false, true}, 500: {}, 503: {false, false, true},
	} {
		var calls atomic.Int64
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			calls.Add(1)
			w.Header().Set("Location", "/elsewhere")
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(status)
		}))
		o := NewSender(true, time.Now).Send(t.Context(), Message{URL: server.URL, ID: "e"})
		server.Close()
		if got := [3]bool{o.Delivered(), o.Gone(), o.Busy()}; o.Status != status || got != want || o.RetryAfter != 7*time.Second {
			t.Errorf("%d: got %+v", status, o)
		}
		if calls.Load() != 1 {
			t.Errorf("%d: %d requests: a redirect was followed", status, calls.Load())
		}
	}
}

func TestAnEndlessAnswerIsNotRead(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 32<<10)); err != nil {
				return
			}
		}
	}))
	defer server.Close()
	if o := NewSender(true, time.Now).Send(t.Context(), Message{URL: server.URL, ID: "e"}); !o.Delivered() {
		t.Errorf("got %+v", o)
	}
}

func TestNoAnswer(t *testing.T) {
	t.Parallel()
	reached := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(reached)
		<-r.Context().Done()
	}))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-reached
		cancel()
	}()
	if o := NewSender(true, time.Now).Send(ctx, Message{URL: server.URL, ID: "e"}); o.Status != 0 || o.Err == nil {
		t.Errorf("got %+v", o)
	}

	tls := httptest.NewTLSServer(http.NotFoundHandler())
	defer tls.Close()
	closed := httptest.NewServer(nil)
	closed.Close()
	for url, want := range map[string]string{
		tls.URL:                "certificate",
		closed.URL:             "cannot be connected",
		"http://name.invalid":  "does not resolve",
		"http://bad host/\x7f": "cannot be used",
	} {
		o := NewSender(true, time.Now).Send(t.Context(), Message{URL: url, ID: "e"})
		if o.Err == nil || !strings.Contains(o.Err.Error(), want) {
			t.Errorf("%s: got %+v, want %q", url, o, want)
		}
	}
}

func TestPrivateNetworksAreNotReached(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
	defer server.Close()
	_, port, _ := strings.Cut(strings.TrimPrefix(server.URL, "http://"), ":")
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]", "127.1"} {
		o := NewSender(false, time.Now).Send(t.Context(), Message{URL: "http://" + host + ":" + port, ID: "e"})
		if o.Err == nil || o.Status != 0 {
			t.Errorf("%s: got %+v", host, o)
		}
	}
	if calls.Load() != 0 {
		t.Errorf("%d requests reached a loopback address", calls.Load())
	}
}

func TestIsPublic(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"8.8.8.8": true, "1.1.1.1": true, "172.32.0.1": true, "100.128.0.1": true, "2606:4700::1111": true, "::ffff:8.8.8.8": true,
		"10.1.2.3": false, "172.16.0.1": false, "192.168.1.1": false, "127.0.0.1": false, "169.254.169.254": false,
		"100.64.0.1": false, "0.0.0.0": false, "255.255.255.255": false, "224.0.0.1": false, "198.18.0.1": false,
		"::1": false, "::": false, "fe80::1": false, "fe80::1%eth0": false, "fc00::1": false, "fd00:ec2::254": false,
		"ff02::1": false, "::ffff:10.0.0.1": false, "64:ff9b::a00:1": false, "2002:a00:1::": false, "2001::1": false,
		"2001:db8::1": false, "::127.0.0.1": false,
	} {
		if got := isPublic(netip.MustParseAddr(text)); got != want {
			t.Errorf("isPublic(%s) = %v", text, got)
		}
	}
}

func TestCheckURL(t *testing.T) {
	t.Parallel()
	for raw, ok := range map[string]bool{
		"https://shop.example/hooks":      true,
		"https://shop.example:8443/h?a=b": true,
		"http://localhost:8090/webhooks":  true,
		"http://127.0.0.1:1/":             true,
		"http://[::1]:1/":                 true,
		"http://shop.example/":            false,
		"http://10.0.0.1/":                false,
		"https://user:pw@shop.example/":   false,
		"https://shop.example/#a":         false,
		"https:///hooks":                  false,
		"https:shop.example":              false,
		"ftp://shop.example":              false,
		"/hooks":                          false,
		"":                                false,
		"https://a b/":                    false,
	} {
		if err := CheckURL(raw); (err == nil) != ok {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

func TestCheckPublicURL(t *testing.T) {
	t.Parallel()
	for raw, ok := range map[string]bool{
		"https://shop.example/hooks":    true,
		"https://8.8.8.8/hooks":         true,
		"https://[2606:4700::1111]/":    true,
		"http://localhost/":             false,
		"https://localhost/":            false,
		"https://127.0.0.1/":            false,
		"https://10.0.0.1/":             false,
		"https://[::1]/":                false,
		"https://[::ffff:10.0.0.1]/":    false,
		"https://[64:ff9b::a00:1]/":     false, // 10.0.0.1 behind NAT64 (RFC 6052)
		"https://[fe80::1%25eth0]/":     false,
		"https://169.254.169.254/":      false,
		"https://user:pw@shop.example/": false,
	} {
		if err := CheckPublicURL(raw); (err == nil) != ok {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

// The address is judged when it is dialled, not when the name is looked up before:
// each connection resolves the name anew, and a name that leads elsewhere by then
// (DNS rebinding) is refused by where it leads.
func TestTheAddressIsJudgedAtTheDial(t *testing.T) {
	t.Parallel()
	for address, public := range map[string]bool{
		"93.184.215.14:443": true, "[2606:4700::1111]:443": true,
		"10.0.0.1:443": false, "[::ffff:192.168.0.1]:443": false, "[64:ff9b::c0a8:1]:443": false, "[::1%lo]:443": false,
		"shop.example:443": false, "": false,
	} {
		if err := refusePrivate("tcp", address, nil); (err == nil) != public {
			t.Errorf("%s: %v", address, err)
		}
	}
	transport, ok := NewSender(false, time.Now).client.Transport.(*http.Transport)
	if !ok || transport.Proxy != nil || transport.DialTLSContext != nil {
		t.Error("there is a way around the check of the address")
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "30": 30 * time.Second, "-5": 0, "99999999999": time.Hour, "99999": time.Hour, "soon": 0,
		"Sun, 01 Mar 2026 12:02:00 GMT": 2 * time.Minute, "Sun, 01 Mar 2026 11:00:00 GMT": 0,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q: got %v, want %v", value, got, want)
		}
	}
}
