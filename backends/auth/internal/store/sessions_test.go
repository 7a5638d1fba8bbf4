package store

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"

	"github.com/open-tollgate/tollgate/backends/auth/internal/refusal"
)

func newSession(id string) *goidc.AuthnSession {
	now := int(time.Now().Unix())
	return &goidc.AuthnSession{
		ID: id, Status: goidc.StatusPending, ClientID: "shop", PushedAuthReqID: "pushed-" + id,
		CreatedAt: now, ExpiresAt: now + 60, Store: map[string]any{},
	}
}

func TestParallelConsentsLeaveOneAnswer(t *testing.T) {
	forEach(t, func(t *testing.T, s *fixture) {
		must(t, s.SaveSession(t.Context(), newSession("a")))
		var won atomic.Int64
		var group sync.WaitGroup
		var loaded []*goidc.AuthnSession
		for range 20 {
			as, err := s.Session(t.Context(), "a")
			must(t, err)
			as.Status = goidc.StatusSuccess
			loaded = append(loaded, as)
		}
		for _, as := range loaded {
			group.Go(func() {
				if s.SaveSession(t.Context(), as) == nil {
					won.Add(1)
				}
			})
		}
		group.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d consents were kept, want 1", won.Load())
		}
	})
}

func TestAnAnswerIsFinal(t *testing.T) {
	for _, status := range []goidc.Status{goidc.StatusFailure, goidc.StatusSuccess} {
		t.Run(string(status), func(t *testing.T) {
			forEach(t, func(t *testing.T, s *fixture) {
				must(t, s.SaveSession(t.Context(), newSession("a")))
				early, err := s.Session(t.Context(), "a")
				must(t, err)
				as, err := s.SessionByPushedAuthReqID(t.Context(), "pushed-a")
				must(t, err)
				as.Status = status
				must(t, s.SaveSession(t.Context(), as))
				if _, err := s.Session(t.Context(), "a"); !errors.Is(err, goidc.ErrNotFound) {
					t.Errorf("it can be loaded again: %v", err)
				}
				early.Status = goidc.StatusSuccess
				if _, own := refusal.Own(s.SaveSession(t.Context(), early)); !own {
					t.Error("it was answered again by somebody who had loaded it before")
				}
			})
		})
	}
}

func TestSessionEndsAndCannotBeProlonged(t *testing.T) {
	forEach(t, func(t *testing.T, s *fixture) {
		must(t, s.SaveSession(t.Context(), newSession("a")))
		for range 3 { // opened again and again, as the library does it
			as, err := s.Session(t.Context(), "a")
			must(t, err)
			as.ExpiresAt = int(s.now().Add(time.Hour).Unix())
			as.Store = KeepRevision(as)
			must(t, s.SaveSession(t.Context(), as))
			s.advance(3 * time.Minute)
		}
		s.advance(2 * time.Minute)
		if _, err := s.Session(t.Context(), "a"); !errors.Is(err, goidc.ErrNotFound) {
			t.Fatalf("it lives on after 11 minutes: %v", err)
		}
	})
}
