package jwks_test

import (
	"encoding/json"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/open-tollgate/tollgate/internal/jwks"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

const wellKnown = "/.well-known/oauth-authorization-server"

// moving is an issuer whose metadata names one of two key sets.
type moving struct {
	*server
	old, fresh *tokentest.Key
	moved      atomic.Bool // the metadata names the new set
	noMetadata atomic.Bool
	lookups    atomic.Int32 // of the metadata
	atOld      atomic.Int32 // fetches of the old set, which goes on answering
}

// startMoving makes and starts a set of such an issuer.
func startMoving(t *testing.T) (*moving, *jwks.Set) {
	t.Helper()
	m := &moving{
		server: newServer(t),
		old:    tokentest.NewKey(t, "ES256", "old"),
		fresh:  tokentest.NewKey(t, "ES256", "fresh"),
	}
	m.set(0, m.answerMoving(t))
	set, err := jwks.New(jwks.Config{Issuer: issuerURL, Client: &http.Client{Transport: m}})
	if err != nil {
		t.Fatal(err)
	}
	set.Start(t.Context())
	t.Cleanup(set.Close)
	synctest.Wait()
	return m, set
}

func (m *moving) answerMoving(t *testing.T) http.HandlerFunc {
	mux := http.NewServeMux()
	mux.HandleFunc(wellKnown, func(w http.ResponseWriter, _ *http.Request) {
		m.lookups.Add(1)
		if m.noMetadata.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		uri := issuerURL + "/old"
		if m.moved.Load() {
			uri = issuerURL + "/new"
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": issuerURL, "jwks_uri": uri})
	})
	mux.HandleFunc("/old", func(w http.ResponseWriter, _ *http.Request) {
		m.atOld.Add(1)
		_, _ = w.Write(document(t, m.old.JWK()))
	})
	mux.HandleFunc("/new", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(document(t, m.fresh.JWK()))
	})
	return mux.ServeHTTP
}

// A key that was withdrawn with its set is gone after an hour, though the old set
// goes on answering.
func TestMetadataIsLookedUpEveryHour(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, set := startMoving(t)
		old, err := set.Key(t.Context(), "old")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Minute)
		if n := m.lookups.Load(); n != 1 {
			t.Errorf("the metadata was looked up %d times", n)
		}
		m.moved.Store(true)
		time.Sleep(16 * time.Minute) // to the refresh after the hour
		if set.Holds(old) {
			t.Error("the key of the old set is still trusted")
		}
		if _, err := set.Key(t.Context(), "fresh"); err != nil {
			t.Errorf("the key of the new set: %v", err)
		}
	})
}

// A token of a key that the known set does not have makes the next fetch look again.
func TestMissedKeyLooksTheMetadataUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, set := startMoving(t)
		m.moved.Store(true)
		if _, err := set.Key(t.Context(), "fresh"); err == nil {
			t.Fatal("the key is there before anybody could know")
		}
		time.Sleep(31 * time.Second) // a missing key is remembered for half a minute
		if _, err := set.Key(t.Context(), "fresh"); err != nil {
			t.Errorf("the key of the new set: %v", err)
		}
	})
}

// An outage of the metadata alone does not keep the keys from being fetched.
func TestKnownSetServesWithoutMetadata(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, set := startMoving(t)
		m.noMetadata.Store(true)
		time.Sleep(3 * time.Hour)
		if n := m.lookups.Load(); n < 2 {
			t.Errorf("the metadata was looked up %d times", n)
		}
		if n := m.atOld.Load(); n < 30 || set.Age() > 5*time.Minute || set.Info().Failure != nil {
			t.Errorf("%d fetches of the known set, the last one %v ago: %v", n, set.Age(), set.Info().Failure)
		}
	})
}
