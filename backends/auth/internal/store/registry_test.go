package store

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"

	"github.com/open-tollgate/tollgate/backends/auth/internal/vault"
	"github.com/open-tollgate/tollgate/backends/internal/database"
)

func TestLogin(t *testing.T) {
	forEach(t, func(t *testing.T, s *fixture) {
		at := time.Now().Truncate(time.Microsecond)
		value, err := s.CreateLogin(t.Context(), Login{UserID: "u", Username: "alice", Name: "Alice", AuthTime: at}, 0)
		must(t, err)
		for range 3 { // use keeps it from going idle
			s.advance(20 * time.Minute)
			l, err := s.Login(t.Context(), value)
			must(t, err)
			if l.UserID != "u" || !l.AuthTime.Equal(at) {
				t.Fatalf("got %+v", l)
			}
		}
		s.advance(31 * time.Minute)
		if _, err := s.Login(t.Context(), value); !errors.Is(err, goidc.ErrNotFound) {
			t.Fatalf("idle for 31 minutes: %v", err)
		}
		value, err = s.CreateLogin(t.Context(), Login{UserID: "u", AuthTime: s.now()}, 0)
		must(t, err)
		must(t, s.DeleteLogin(t.Context(), value))
		if _, err := s.Login(t.Context(), value); !errors.Is(err, goidc.ErrNotFound) {
			t.Fatalf("signed out: %v", err)
		}
	})
}

func TestClients(t *testing.T) {
	forEach(t, func(t *testing.T, s *fixture) {
		c := Client{ID: "shop", Name: "Corner Shop", Kind: Standard, SecretHash: []byte{1},
			RedirectURIs: []string{"https://a.example/cb"}, Scopes: []string{"payments:read"},
			GrantTypes: []string{"authorization_code"}, CreatedAt: time.Now()}
		must(t, s.SaveClient(t.Context(), c, ReplaceNothing))
		if err := s.SaveClient(t.Context(), c, ReplaceNothing); !errors.Is(err, ErrClientExists) {
			t.Fatalf("a second registration: %v", err)
		}
		c.Kind, c.SecretHash, c.JWKS = FAPI2, nil, `{"keys":[]}`
		if err := s.SaveClient(t.Context(), c, ReplaceSameKind); !errors.Is(err, ErrOtherKind) {
			t.Fatalf("the kind changed by the way: %v", err)
		}
		if kept, err := s.Client(t.Context(), "shop"); err != nil || kept.Kind != Standard {
			t.Fatalf("what was refused has changed the client: %v, %v", kept.Kind, err)
		}
		must(t, s.SaveClient(t.Context(), c, ReplaceAnyKind))
		must(t, s.SaveClient(t.Context(), c, ReplaceSameKind))
		got, err := s.Client(t.Context(), "shop")
		must(t, err)
		if got.Kind != FAPI2 || got.SecretHash != nil || got.JWKS != c.JWKS || got.Name != c.Name || len(got.RedirectURIs) != 1 {
			t.Fatalf("got %+v", got)
		}
		all, err := s.Clients(t.Context())
		if err != nil || len(all) != 1 {
			t.Fatalf("%v, %v", all, err)
		}
		if _, err := s.Client(t.Context(), "nobody"); !errors.Is(err, goidc.ErrNotFound) {
			t.Fatalf("an unknown client: %v", err)
		}
	})
}

func TestTheSchemaKeepsTheKindsApart(t *testing.T) {
	forEach(t, func(t *testing.T, s *fixture) {
		for name, c := range map[string]Client{
			"fapi2 with a secret":          {ID: "c", Kind: FAPI2, SecretHash: []byte{1}, JWKS: "{}"},
			"fapi2 with nothing":           {ID: "c", Kind: FAPI2},
			"standard with keys":           {ID: "c", Kind: Standard, SecretHash: []byte{1}, JWKS: "{}"},
			"standard without a secret":    {ID: "c", Kind: Standard},
			"a kind that nobody has heard": {ID: "c", Kind: "public", SecretHash: []byte{1}},
		} {
			if err := s.SaveClient(t.Context(), c, ReplaceNothing); !database.IsCheck(err) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestSigningKeys(t *testing.T) {
	forEach(t, func(t *testing.T, s *fixture) {
		at := time.Now()
		for i, id := range []string{"old", "new"} {
			private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			must(t, err)
			must(t, s.AddSigningKey(t.Context(), SigningKey{ID: id, Private: private, ActiveFrom: at.Add(time.Duration(i) * time.Hour)}))
		}
		keys, err := s.SigningKeys(t.Context())
		if err != nil || len(keys) != 2 || keys[0].ID != "new" || keys[1].ID != "old" {
			t.Fatalf("got %v, %v", keys, err)
		}
		must(t, s.DeleteSigningKey(t.Context(), "old"))
		s.vault, err = vault.New(bytes.Repeat([]byte{8}, vault.KeySize))
		must(t, err)
		if _, err := s.SigningKeys(t.Context()); err == nil {
			t.Fatal("a key opened with another master key")
		}
	})
}
