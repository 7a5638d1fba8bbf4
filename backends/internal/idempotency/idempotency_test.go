package idempotency

import (
	"database/sql"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/backends/internal/databasetest"
	"github.com/open-tollgate/tollgate/internal/problem"
)

func TestKey(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("k", 255)
	for _, c := range []struct {
		values []string
		want   string // empty: refused
	}{
		{[]string{"abc"}, "abc"},
		{[]string{`"abc"`}, "abc"},
		{[]string{` "a b" `}, "a b"},
		{[]string{`"a\"b\\c"`}, `a"b\c`},
		{[]string{"8e03978e-40d5-43dd-bc93-6894a57f9324"}, "8e03978e-40d5-43dd-bc93-6894a57f9324"},
		{[]string{"dGVzdA=="}, "dGVzdA=="},
		{[]string{long}, long},
		{nil, ""},
		{[]string{""}, ""},
		{[]string{`""`}, ""},
		{[]string{"  "}, ""},
		{[]string{long + "k"}, ""},
		{[]string{"a", "b"}, ""},
		{[]string{"a, b"}, ""},
		{[]string{"a b"}, ""},
		{[]string{`"a`}, ""},
		{[]string{`"a"b`}, ""},
		{[]string{`"a";q=1`}, ""},
		{[]string{`"a\n"`}, ""},
		{[]string{`"a\`}, ""},
		{[]string{"a\x00"}, ""},
		{[]string{"ключ"}, ""},
		{[]string{`"ключ"`}, ""},
	} {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header[Header] = c.values
		got, p := Key(r)
		if got != c.want || (p == nil) != (c.want != "") {
			t.Errorf("%q: got %q, %v", c.values, got, p)
		}
		if p != nil && p.Status != http.StatusBadRequest {
			t.Errorf("%q: status %d", c.values, p.Status)
		}
	}
}

func TestFingerprintKeepsPartsApart(t *testing.T) {
	t.Parallel()
	if string(Fingerprint("ab", "c")) == string(Fingerprint("a", "bc")) {
		t.Error("two requests have one fingerprint")
	}
}

// clock is a time that a test sets.
type clock struct{ atomic.Int64 }

func (c *clock) now() time.Time { return time.UnixMicro(c.Load()) }

// fresh gives databases of the payments service.
var fresh = databasetest.TemplateOf("payments", os.DirFS("../../payments"))

func forEach(t *testing.T, test func(t *testing.T, db *database.DB, c *clock)) {
	t.Helper()
	fresh.ForEach(t, func(t *testing.T, dsn string) {
		c := &clock{}
		c.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixMicro())
		test(t, fresh.Open(t, dsn), c)
	})
}

func request(key, payload string) Request {
	return Request{Client: "shop", Method: "POST", Route: "/api/payments", Key: key, Fingerprint: Fingerprint(payload)}
}

func created(body string) func(*sql.Tx) (Response, error) {
	return func(*sql.Tx) (Response, error) {
		return Response{Status: 201, Header: http.Header{"Location": {"/x"}}, Body: []byte(body)}, nil
	}
}

func neverRun(t *testing.T) func(*sql.Tx) (Response, error) {
	return func(*sql.Tx) (Response, error) {
		t.Error("the request ran again")
		return Response{}, nil
	}
}

func TestDo(t *testing.T) {
	t.Parallel()
	forEach(t, func(t *testing.T, db *database.DB, c *clock) {
		keeper, other := New(db, c.now), New(db, c.now) // two instances of the service
		first, err := keeper.Do(t.Context(), request("k", "p"), created("one"))
		if err != nil || first.Replayed {
			t.Fatalf("got %+v, %v", first, err)
		}
		again, err := other.Do(t.Context(), request("k", "p"), neverRun(t))
		if err != nil || !again.Replayed || string(again.Body) != "one" || again.Status != 201 || again.Header.Get("Location") != "/x" {
			t.Fatalf("got %+v, %v", again, err)
		}
		rec := httptest.NewRecorder()
		again.Write(rec)
		if rec.Code != 201 || rec.Header().Get(ReplayedHeader) != "true" || rec.Body.String() != "one" {
			t.Errorf("wrote %d %v %s", rec.Code, rec.Header(), rec.Body)
		}

		var p *problem.Problem
		if _, err := other.Do(t.Context(), request("k", "other"), neverRun(t)); !errors.As(err, &p) || p.Status != 422 {
			t.Errorf("another payload: %v", err)
		}
		for name, change := range map[string]func(*Request){
			"client": func(r *Request) { r.Client = "x" },
			"method": func(r *Request) { r.Method = "x" },
			"route":  func(r *Request) { r.Route = "x" },
			"key":    func(r *Request) { r.Key = "x" },
		} {
			req := request("k", "p")
			change(&req)
			if resp, err := keeper.Do(t.Context(), req, created("own")); err != nil || resp.Replayed {
				t.Errorf("another %s: got %+v, %v", name, resp, err)
			}
		}
	})
}

// TestCardNumbersAreNoNewKeys, but a key that is known is answered: a client that was told to
// take another one would do its work twice.
func TestCardNumbersAreNoNewKeys(t *testing.T) {
	t.Parallel()
	forEach(t, func(t *testing.T, db *database.DB, c *clock) {
		keeper, known := New(db, c.now), request("order-4111111111111111", "p")
		var p *problem.Problem
		if _, err := keeper.Do(t.Context(), known, neverRun(t)); !errors.As(err, &p) || p.Status != 400 {
			t.Errorf("a new one: %v", err)
		}
		if _, err := keeper.Do(t.Context(), request("8e03978e-4111-1111-1111-111111111111", "p"), created("one")); err != nil {
			t.Errorf("a UUID: %v", err)
		}
		err := db.InTx(t.Context(), func(tx *sql.Tx) error {
			resp, err := created("before")(tx)
			return errors.Join(err, keeper.store(t.Context(), tx, known, resp)) // by an older version
		})
		if err != nil {
			t.Fatal(err)
		}
		if again, err := keeper.Do(t.Context(), known, neverRun(t)); err != nil || string(again.Body) != "before" {
			t.Errorf("a known one: %+v, %v", again, err)
		}
	})
}

func TestAnErrorStoresNothing(t *testing.T) {
	t.Parallel()
	forEach(t, func(t *testing.T, db *database.DB, c *clock) {
		keeper := New(db, c.now)
		broken := errors.New("broken")
		_, err := keeper.Do(t.Context(), request("k", "p"), func(tx *sql.Tx) (Response, error) {
			_, err := tx.Exec(`INSERT INTO events (id, client_id, type, subject, payload, created_at) VALUES ('e', 'c', 't', 's', $1, 0)`, []byte("x"))
			if err != nil {
				t.Error(err)
			}
			return Response{}, broken
		})
		if !errors.Is(err, broken) {
			t.Fatalf("got %v", err)
		}
		if resp, err := keeper.Do(t.Context(), request("k", "another payload"), created("one")); err != nil || resp.Replayed {
			t.Fatalf("got %+v, %v: the refused request took the key", resp, err)
		}
		var events int
		if err := db.QueryRow(`SELECT count(*) FROM events`).Scan(&events); err != nil || events != 0 {
			t.Errorf("%d events, %v: the refused request left something", events, err)
		}
	})
}

func TestStillRunning(t *testing.T) {
	t.Parallel()
	forEach(t, func(t *testing.T, db *database.DB, c *clock) {
		keeper := New(db, c.now)
		refusers := map[string]*Keeper{"this instance": keeper}
		if db.Dialect == database.Postgres {
			refusers["another instance"] = New(db, c.now)
		}
		_, err := keeper.Do(t.Context(), request("k", "p"), func(*sql.Tx) (Response, error) {
			for name, refuser := range refusers {
				var p *problem.Problem
				_, err := refuser.Do(t.Context(), request("k", "p"), neverRun(t))
				if !errors.As(err, &p) || p.Status != 409 || p.Header.Get("Retry-After") == "" {
					t.Errorf("%s: got %v", name, err)
				}
			}
			return Response{Status: 200}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := keeper.Do(t.Context(), request("k", "p"), neverRun(t)); err != nil || !resp.Replayed {
			t.Errorf("afterwards: got %+v, %v", resp, err)
		}
	})
}

func TestManyAtOnceRunOnce(t *testing.T) {
	t.Parallel()
	forEach(t, func(t *testing.T, db *database.DB, c *clock) {
		instances := []*Keeper{New(db, c.now), New(db, c.now)}
		var ran atomic.Int64
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				_, err := instances[i%2].Do(t.Context(), request("k", "p"), func(*sql.Tx) (Response, error) {
					ran.Add(1)
					return Response{Status: 200}, nil
				})
				var p *problem.Problem
				if err != nil && (!errors.As(err, &p) || p.Status != 409) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if ran.Load() != 1 {
			t.Errorf("ran %d times", ran.Load())
		}
	})
}

func TestKeysAreForgottenAfterADay(t *testing.T) {
	t.Parallel()
	forEach(t, func(t *testing.T, db *database.DB, c *clock) {
		keeper := New(db, c.now)
		do := func(key string, fn func(*sql.Tx) (Response, error)) Response {
			t.Helper()
			resp, err := keeper.Do(t.Context(), request(key, "p"), fn)
			if err != nil {
				t.Fatal(err)
			}
			return resp
		}
		do("old", created("first"))
		c.Add((Retention - time.Second).Microseconds())
		do("old", neverRun(t))
		do("young", created("young"))
		c.Add((2 * time.Second).Microseconds())
		if resp := do("old", created("second")); resp.Replayed {
			t.Error("a key was kept for longer than a day")
		}
		c.Add((Retention - 2*time.Second).Microseconds()) // young is past its time now, old is not
		if err := keeper.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
		var left string
		if err := db.QueryRow(`SELECT idem_key FROM idempotency_keys`).Scan(&left); err != nil || left != "old" {
			t.Errorf("left is %q, %v", left, err)
		}
	})
}
