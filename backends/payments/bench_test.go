package payments

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/backends/internal/idempotency"
	"github.com/open-tollgate/tollgate/backends/internal/money"
	"github.com/open-tollgate/tollgate/backends/payments/ledger"
	"github.com/open-tollgate/tollgate/internal/testenv"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

// BenchmarkConfirm pays, from 64 wallets at 16 a time: with one merchant and with a
// thousand, and with a million transfers in the books before. It goes through the
// whole service: token, consent, risk rules, ledger, idempotency and outbox. The
// PostgreSQL of the tests does not sync its log.
func BenchmarkConfirm(b *testing.B) {
	for _, dialect := range []database.Dialect{database.SQLite, database.Postgres} {
		for _, merchants := range []int{1, 1000} {
			for _, before := range []int{0, 1_000_000} {
				b.Run(fmt.Sprintf("%s/merchants=%d/transfers=%d", dialect, merchants, before), func(b *testing.B) {
					benchmarkConfirm(b, dialect, merchants, before)
				})
			}
		}
	}
}

func benchmarkConfirm(b *testing.B, dialect database.Dialect, merchants, before int) {
	dsn := filepath.Join(b.TempDir(), "bench.db")
	if dialect == database.Postgres {
		dsn = testenv.Postgres(b)
	}
	p := newPlatform(b, dsn)
	till := newTill(p, merchants)
	if b.N > 1 { // the first run, with one, only warms up
		till.fill(before)
	}
	confirmations := make([]*http.Request, b.N)
	for i := range confirmations {
		confirmations[i] = till.confirmation(i)
	}
	took := make([]time.Duration, b.N)
	var next, failed atomic.Int64
	var payers sync.WaitGroup
	b.ResetTimer()
	for range 16 {
		payers.Go(func() {
			for i := int(next.Add(1)) - 1; i < b.N; i = int(next.Add(1)) - 1 {
				start := time.Now()
				w := httptest.NewRecorder()
				p.server.ServeHTTP(w, confirmations[i])
				took[i] = time.Since(start)
				if w.Code != http.StatusOK {
					failed.Add(1)
				}
			}
		})
	}
	payers.Wait()
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "payments/s")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	if failed.Load() > 0 {
		b.Errorf("%d of %d were not paid", failed.Load(), b.N)
	}
	p.booksAreRight()
}

// till makes payments ready to be confirmed.
type till struct {
	*platform
	clients []Account // of merchants
	wallets []Account
}

func newTill(p *platform, merchants int) *till {
	t := &till{platform: p}
	for i := range merchants {
		a, err := AddMerchant(p.t.Context(), p.db, fmt.Sprintf("shop%d", i), "Shop", "EUR")
		if err != nil {
			p.t.Fatal(err)
		}
		t.clients = append(t.clients, a)
	}
	for i := range 64 {
		a, err := OpenAccount(p.t.Context(), p.db, fmt.Sprintf("user%d", i), "Everyday", "EUR", 1_000_000_000)
		if err != nil {
			p.t.Fatal(err)
		}
		t.wallets = append(t.wallets, a)
	}
	return t
}

// confirmation announces a payment and gives the request that pays it.
func (t *till) confirmation(i int) *http.Request {
	client, wallet := t.clients[i%len(t.clients)], t.wallets[i%len(t.wallets)]
	var v paymentView
	err := t.db.InTx(t.t.Context(), func(tx *sql.Tx) error {
		p, err := t.server.create(t.t.Context(), tx, client.Owner, newPayment{Amount: money.Amount{Value: 10, Currency: "EUR"}})
		v = p.view()
		return err
	})
	if err != nil {
		t.t.Fatal(err)
	}
	details := *v.AuthorizationDetails
	details.DebtorAccount = &accountRef{ID: wallet.ID}
	r := httptest.NewRequest(http.MethodPost, "/api/payments/"+v.ID+"/confirm", http.NoBody)
	r.Header.Set("Authorization", "Bearer "+t.issuer.Token(tokentest.Claim("sub", wallet.Owner), tokentest.Claim("client_id", client.Owner),
		tokentest.Claim("scope", "payments:confirm"), tokentest.Claim("authorization_details", []any{details})))
	r.Header.Set(idempotency.Header, uuid.NewString())
	return r
}

// fill puts so many transfers into the books, between the outside world and the wallets.
func (t *till) fill(n int) {
	if n == 0 {
		return
	}
	var wallets []string
	for _, w := range t.wallets {
		wallets = append(wallets, w.ID)
	}
	ids, err := json.Marshal(wallets)
	if err != nil {
		t.t.Fatal(err)
	}
	series := `WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < $1 - 1), w AS (SELECT value AS id, key AS k FROM json_each($2))
		SELECT '00000000-' || printf('%012d', i), 'direct', (SELECT id FROM accounts WHERE kind = 'external'), w.id, 1, 'EUR', 'deposit', 0
		FROM n JOIN w ON w.k = i % 64`
	if t.db.Dialect == database.Postgres {
		series = `SELECT '00000000-' || lpad(i::text, 12, '0'), 'direct', (SELECT id FROM accounts WHERE kind = 'external'),
			($2::json ->> (i % 64)), 1, 'EUR', 'deposit', 0 FROM generate_series(0, $1::int - 1) i`
	}
	err = t.db.InTx(t.t.Context(), func(tx *sql.Tx) error {
		if t.db.Dialect == database.Postgres {
			if _, err := tx.Exec(`SET LOCAL statement_timeout = 0`); err != nil {
				return err
			}
		}
		_, err := tx.Exec(`INSERT INTO transfers (id, kind, debit_account, credit_account, amount, currency, purpose, created_at) `+series, n, string(ids))
		return err
	})
	if err == nil {
		_, err = ledger.Rebuild(t.t.Context(), t.db)
	}
	if err != nil {
		t.t.Fatal(err)
	}
}
