package payments

import (
	"context"
	"database/sql"
	"fmt"
	"io"
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
	"github.com/open-tollgate/tollgate/backends/internal/outbox"
	"github.com/open-tollgate/tollgate/internal/testenv"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

// payersAtOnce is how many payments are confirmed at a time.
const payersAtOnce = 16

// BenchmarkConfirm pays, 16 at a time, each from a wallet of its own: with one
// merchant, with one that is told by webhook, and with a thousand; in books that are
// empty, and in such with a history of payments. It goes through the whole service:
// token, consent, risk rules, ledger, idempotency and outbox, while the work in the
// background goes on. Both databases wait for the disk at each commit.
func BenchmarkConfirm(b *testing.B) {
	for _, dialect := range []database.Dialect{database.SQLite, database.Postgres} {
		for _, history := range []int{0, 100_000, 1_000_000} {
			b.Run(fmt.Sprintf("%s/transfers=%d", dialect, history), func(b *testing.B) {
				dsn := filepath.Join(b.TempDir(), "bench.db")
				if dialect == database.Postgres {
					dsn = testenv.DurablePostgres(b)
				}
				newTill(newPlatform(b, dsn), history).benchmark(b)
			})
		}
	}
}

func (t *till) benchmark(b *testing.B) {
	b.Run("merchants=1", func(b *testing.B) { t.confirm(b, t.clients[:1]) })
	b.Run("merchants=1000", func(b *testing.B) { t.confirm(b, t.clients) })
	shop := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	defer shop.Close()
	if _, err := outbox.AddEndpoint(b.Context(), t.db, t.server.dispatcher.Vault, t.clients[0], shop.URL, false, t.now()); err != nil {
		b.Fatal(err)
	}
	b.Run("merchants=1,webhook", func(b *testing.B) { t.confirm(b, t.clients[:1]) })
	if err := VerifyLedger(b.Context(), t.db, t.now()); err != nil {
		b.Error(err)
	}
}

// confirm measures payments to the clients.
func (t *till) confirm(b *testing.B, clients []string) {
	const first = 4 * payersAtOnce // connections are opened, and caches filled
	confirmations := make([]*http.Request, first+b.N)
	for i := range confirmations {
		confirmations[i] = t.confirmation(clients[i%len(clients)], t.wallets[t.next%len(t.wallets)])
		t.next++
	}
	ctx, stop := context.WithCancel(b.Context())
	var background sync.WaitGroup
	for _, work := range t.server.Background() {
		background.Go(func() {
			if err := work(ctx); err != nil {
				b.Error(err)
			}
		})
	}
	warm := confirmations[:len(confirmations)-b.N]
	if _, failed := t.pay(warm); failed > 0 {
		b.Errorf("%d of the first %d were not paid", failed, len(warm))
	}
	b.ResetTimer()
	took, failed := t.pay(confirmations[len(warm):])
	b.StopTimer()
	stop()
	background.Wait()
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "payments/s")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	if failed > 0 {
		b.Errorf("%d of %d were not paid", failed, b.N)
	}
}

// pay makes the calls, so many at once, and gives how long each took and how many failed.
func (t *till) pay(confirmations []*http.Request) (took []time.Duration, failed int64) {
	took = make([]time.Duration, len(confirmations))
	var next, wrong atomic.Int64
	var payers sync.WaitGroup
	for range payersAtOnce {
		payers.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(confirmations); i = int(next.Add(1)) - 1 {
				start := time.Now()
				w := httptest.NewRecorder()
				t.server.ServeHTTP(w, confirmations[i])
				took[i] = time.Since(start)
				if w.Code != http.StatusOK {
					wrong.Add(1)
				}
			}
		})
	}
	payers.Wait()
	return took, wrong.Load()
}

// benchWallet is one to pay from.
type benchWallet struct{ id, owner string }

// till makes payments ready to be confirmed.
type till struct {
	*platform
	clients []string // of merchants
	wallets []benchWallet
	next    int // the wallet whose turn it is
}

// newTill is a platform with a thousand merchants and ten thousand users, who have
// made so many payments in the last thirty days.
func newTill(p *platform, history int) *till {
	p.t.Helper()
	start := time.Now()
	t := &till{platform: p}
	seed(p, history)
	const of = ` FROM accounts WHERE owner LIKE 'seed%' AND kind = `
	t.clients = column(p, `SELECT owner`+of+`'merchant' ORDER BY owner`)
	ids, owners := column(p, `SELECT id`+of+`'wallet' ORDER BY owner`), column(p, `SELECT owner`+of+`'wallet' ORDER BY owner`)
	for i, id := range ids {
		t.wallets = append(t.wallets, benchWallet{id: id, owner: owners[i]})
	}
	seeded := time.Since(start)
	p.booksAreRight()
	p.t.Logf("%d payments seeded in %v, and verified in %v", history, seeded.Round(time.Millisecond), (time.Since(start) - seeded).Round(time.Millisecond))
	return t
}

func column(p *platform, query string) (texts []string) {
	p.t.Helper()
	rows, err := p.db.Query(query)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			p.t.Fatal(err)
		}
		texts = append(texts, text)
	}
	if err := rows.Err(); err != nil {
		p.t.Fatal(err)
	}
	return texts
}

// confirmation announces a payment and gives the request that pays it.
func (t *till) confirmation(client string, wallet benchWallet) *http.Request {
	var v paymentView
	err := t.db.InTx(t.t.Context(), func(tx *sql.Tx) error {
		p, err := t.server.create(t.t.Context(), tx, client, newPayment{Amount: money.Amount{Value: 10, Currency: "EUR"}})
		v = p.view()
		return err
	})
	if err != nil {
		t.t.Fatal(err)
	}
	details := *v.AuthorizationDetails
	details.DebtorAccount = &accountRef{ID: wallet.id}
	r := httptest.NewRequest(http.MethodPost, "/api/payments/"+v.ID+"/confirm", http.NoBody)
	r.Header.Set("Authorization", "Bearer "+t.issuer.Token(tokentest.Claim("sub", wallet.owner), tokentest.Claim("client_id", client),
		tokentest.Claim("scope", "payments:confirm"), tokentest.Claim("authorization_details", []any{details})))
	r.Header.Set(idempotency.Header, uuid.NewString())
	return r
}
