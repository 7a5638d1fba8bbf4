package jwks_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/open-tollgate/tollgate/internal/jwks"
	"github.com/open-tollgate/tollgate/internal/token"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

const issuerURL = "https://auth.example.com"

// server is an issuer without a network: time stands still while it answers.
type server struct {
	*tokentest.Issuer
	mu      sync.Mutex
	fetches int
	answer  http.HandlerFunc // instead of the key set, when set
	delay   time.Duration
}

func newServer(t *testing.T) *server {
	return &server{Issuer: tokentest.NewIssuer(t, issuerURL)}
}

// set changes how the server answers.
func (s *server) set(delay time.Duration, answer http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay, s.answer = delay, answer
}

func (s *server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fetches
}

func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.fetches++
	delay, answer := s.delay, s.answer
	s.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	w := httptest.NewRecorder()
	if answer == nil {
		answer = s.Handler().ServeHTTP
	}
	answer(w, r)
	return w.Result(), nil
}

// start makes and starts a set that is closed at the end of the test.
func (s *server) start(t *testing.T) *jwks.Set {
	t.Helper()
	set, err := jwks.New(jwks.Config{
		Issuer: issuerURL, JWKSURL: issuerURL + "/jwks", Client: &http.Client{Transport: s},
	})
	if err != nil {
		t.Fatal(err)
	}
	set.Start(t.Context())
	t.Cleanup(set.Close)
	return set
}

func fail(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }

// bubble runs a test on a clock of its own.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, f)
}

func TestNewDoesNotDial(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newServer(t)
		set, err := jwks.New(jwks.Config{JWKSURL: issuerURL, Client: &http.Client{Transport: s}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := set.Key(t.Context(), "key-1"); !errors.Is(err, token.ErrKeysUnavailable) {
			t.Errorf("key before Start: %v", err)
		}
		if s.count() != 0 || set.Ready() || set.Age() != 0 {
			t.Error("a set that was not started is not idle")
		}
		set.Close()
	})
}

func TestKeyWaitsForTheFirstFetch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newServer(t)
		s.set(time.Second, nil)
		set := s.start(t)
		before := time.Now()
		key, err := set.Key(t.Context(), "key-1")
		if err != nil || !set.Holds(key) || !set.Ready() {
			t.Fatalf("key: %v, %v", key, err)
		}
		if waited := time.Since(before); waited != time.Second {
			t.Errorf("waited %v", waited)
		}
		if info := set.Info(); info.Keys != 1 || info.Fetches != 1 || info.Failure != nil || !info.Fetched.Equal(time.Now()) {
			t.Errorf("info: %+v", info)
		}
	})
}

func TestKeyWaitsTwoSecondsAtMost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newServer(t)
		s.set(time.Hour, nil)
		set := s.start(t)
		before := time.Now()
		if _, err := set.Key(t.Context(), "key-1"); !errors.Is(err, token.ErrKeysUnavailable) {
			t.Errorf("key: %v", err)
		}
		if waited := time.Since(before); waited != 2*time.Second {
			t.Errorf("waited %v", waited)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		before = time.Now()
		if _, err := set.Key(gone, "key-1"); !errors.Is(err, token.ErrKeysUnavailable) || time.Since(before) != 0 {
			t.Errorf("a caller who is gone: %v after %v", err, time.Since(before))
		}
	})
}

// Ten thousand invented ids cause two fetches at once and one per thirty seconds
// then, and whoever asks for a key that exists does not wait.
func TestRandomKeyIDsCauseAHandfulOfFetches(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newServer(t)
		set := s.start(t)
		synctest.Wait()
		s.set(time.Second, nil)
		var attackers sync.WaitGroup
		for i := range 10000 {
			attackers.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				if _, err := set.Key(t.Context(), fmt.Sprint("random ", i)); !errors.Is(err, token.ErrUnknownKey) {
					t.Errorf("random kid: %v", err)
				}
			})
			if i%100 == 0 {
				before := time.Now()
				if _, err := set.Key(t.Context(), "key-1"); err != nil || time.Since(before) != 0 {
					t.Errorf("a good key took %v: %v", time.Since(before), err)
				}
			}
		}
		attackers.Wait()
		if n := s.count(); n != 3 { // the first one, and a burst of two
			t.Errorf("%d fetches", n)
		}
	})
}

// One client with one bad id cannot empty the bucket for the others.
func TestOneUnknownKeyIDIsAskedForOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newServer(t)
		set := s.start(t)
		synctest.Wait()
		for range 100 {
			if _, err := set.Key(t.Context(), "old"); !errors.Is(err, token.ErrUnknownKey) {
				t.Fatal(err)
			}
		}
		if n := s.count(); n != 2 {
			t.Errorf("%d fetches", n)
		}
		s.Rotate(tokentest.NewKey(t, "ES256", "key-2"))
		if _, err := set.Key(t.Context(), "key-2"); err != nil {
			t.Errorf("a new key at that time: %v", err)
		}
	})
}

func TestRotation(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newServer(t)
		set := s.start(t)
		old, err := set.Key(t.Context(), "key-1")
		if err != nil {
			t.Fatal(err)
		}
		s.Rotate(tokentest.NewKey(t, "ES256", "key-2"))
		if _, err := set.Key(t.Context(), "key-2"); err != nil {
			t.Errorf("a key that is published and not fetched yet: %v", err)
		}
		if !set.Holds(old) {
			t.Error("the old key is gone, though it is still published")
		}
		s.Withdraw()
		time.Sleep(6 * time.Minute)
		if set.Holds(old) {
			t.Error("a withdrawn key is still held after the refresh")
		}
		if _, err := set.Key(t.Context(), "key-1"); !errors.Is(err, token.ErrUnknownKey) {
			t.Errorf("a withdrawn key: %v", err)
		}
	})
}

func TestRefreshFollowsMaxAge(t *testing.T) {
	tests := map[string]struct {
		header string
		least  time.Duration
		most   time.Duration
	}{
		"nothing":    {"", 4 * time.Minute, 5 * time.Minute},
		"10 minutes": {"public, Max-Age=600", 9 * time.Minute, 10 * time.Minute},
		"a second":   {"max-age=1", 54 * time.Second, time.Minute},
		"a year":     {"max-age=31536000", 54 * time.Minute, time.Hour},
		"nonsense":   {"max-age=x", 4 * time.Minute, 5 * time.Minute},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newServer(t)
				s.set(0, func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Cache-Control", test.header)
					_, _ = w.Write(s.JWKS())
				})
				set := s.start(t)
				synctest.Wait()
				time.Sleep(test.least - time.Second)
				if s.count() != 1 {
					t.Errorf("refreshed within %v", set.Age())
				}
				time.Sleep(test.most - test.least + 2*time.Second)
				if s.count() != 2 {
					t.Errorf("%d fetches after %v", s.count(), test.most)
				}
			})
		})
	}
}

func TestStaleKeysServeForADay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newServer(t)
		set := s.start(t)
		key, err := set.Key(t.Context(), "key-1")
		if err != nil {
			t.Fatal(err)
		}
		s.set(0, fail)
		time.Sleep(23 * time.Hour)
		if _, err := set.Key(t.Context(), "key-1"); err != nil || !set.Holds(key) {
			t.Errorf("while the issuer fails: %v", err)
		}
		if set.Info().Failure == nil || set.Age() < 22*time.Hour {
			t.Errorf("nothing tells that the issuer fails: %+v, %v", set.Info(), set.Age())
		}
		if _, err := set.Key(t.Context(), "key-2"); !errors.Is(err, token.ErrKeysUnavailable) {
			t.Errorf("a key that nobody can look for: %v", err)
		}
		time.Sleep(2 * time.Hour)
		if _, err := set.Key(t.Context(), "key-1"); !errors.Is(err, token.ErrKeysUnavailable) || set.Holds(key) || set.Ready() {
			t.Errorf("after a day: %v", err)
		}
		s.set(0, nil)
		time.Sleep(time.Minute)
		if _, err := set.Key(t.Context(), "key-1"); err != nil {
			t.Errorf("after the issuer recovered: %v", err)
		}
	})
}

func TestIssuerDownAtStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newServer(t)
		s.set(0, fail)
		set := s.start(t)
		for range 100 {
			if _, err := set.Key(t.Context(), "key-1"); !errors.Is(err, token.ErrKeysUnavailable) {
				t.Fatalf("key: %v", err)
			}
		}
		time.Sleep(time.Hour)
		if n := s.count(); n > 150 { // two a minute once it has backed off
			t.Errorf("%d fetches in an hour", n)
		}
		s.set(0, nil)
		time.Sleep(30 * time.Second)
		if !set.Ready() {
			t.Error("not ready half a minute after the issuer came up")
		}
	})
}

func TestCloseEndsAFetch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newServer(t)
		s.set(time.Hour, nil)
		set := s.start(t)
		set.Start(t.Context()) // changes nothing
		synctest.Wait()
		before := time.Now()
		set.Close()
		set.Close()
		if time.Since(before) != 0 || s.count() != 1 {
			t.Errorf("closed after %v and %d fetches", time.Since(before), s.count())
		}
		if _, err := set.Key(t.Context(), "key-1"); !errors.Is(err, token.ErrKeysUnavailable) {
			t.Errorf("key after Close: %v", err)
		}
	})
}

func TestStartAgainAfterTheContextEnded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newServer(t)
		set, err := jwks.New(jwks.Config{JWKSURL: issuerURL, Client: &http.Client{Transport: s}})
		if err != nil {
			t.Fatal(err)
		}
		defer set.Close()
		first, cancel := context.WithCancel(t.Context())
		set.Start(first)
		synctest.Wait()
		cancel()
		time.Sleep(time.Hour)
		if s.count() != 1 {
			t.Errorf("%d fetches, though the context has ended", s.count())
		}
		set.Start(t.Context())
		time.Sleep(time.Hour)
		if s.count() < 10 {
			t.Errorf("%d fetches after it was started again", s.count())
		}
	})
}

// What an issuer may do wrong once its keys are known: none of it takes them away.
func TestBadAnswersKeepTheKeys(t *testing.T) {
	answers := map[string]http.HandlerFunc{
		"500":              fail,
		"not found":        http.NotFound,
		"no content":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"a redirect":       http.RedirectHandler("https://evil.example/jwks", http.StatusFound).ServeHTTP,
		"HTML":             func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		"no keys member":   func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") },
		"duplicate member": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"keys":[],"keys":[]}`) },
		"more than 64 keys": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"keys":[{}`)
			for range 64 {
				_, _ = io.WriteString(w, `,{}`)
			}
			_, _ = io.WriteString(w, `]}`)
		},
		"more than 512 KiB": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"keys":[]`)
			_, _ = w.Write(make([]byte, 512<<10))
		},
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newServer(t)
				set := s.start(t)
				synctest.Wait()
				s.set(0, answer)
				time.Sleep(10 * time.Minute)
				if s.count() < 2 || set.Info().Failure == nil {
					t.Errorf("%d fetches, %v", s.count(), set.Info().Failure)
				}
				if _, err := set.Key(t.Context(), "key-1"); err != nil {
					t.Errorf("key: %v", err)
				}
			})
		})
	}
}
