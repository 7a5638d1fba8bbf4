package payments

import (
	"database/sql"
	"fmt"
	"sync"
	"testing"

	"github.com/open-tollgate/tollgate/backends/internal/database"
)

// More payments of a shop than there are connections wait for one that does not end, as of
// an instance that hangs. Others read, and other shops are paid, while they wait; when it
// has ended, all of them are answered.
func TestPaymentsThatWaitLeaveConnectionsToOthers(t *testing.T) {
	t.Parallel()
	dsn := fresh.Postgres(t)
	p := newPlatform(t, dsn+"&lock_timeout=0&statement_timeout=0")
	p.setRule("client_count_1h", object{"count": object{"deny": 5}})
	other, err := OpenDatabase(t.Context(), dsn+"&idle_in_transaction_session_timeout=60s")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	if _, err := AddMerchant(t.Context(), p.db, "books", "Book Shop", "EUR"); err != nil {
		t.Fatal(err)
	}
	books := p.clientToken("books", "payments:create payments:read")
	var confirmations [40]request
	var v paymentView
	for i := range confirmations {
		v = p.create(1)
		confirmations[i] = p.confirmationFrom(p.walletOf(fmt.Sprint("user-", i), 100), v)
	}
	var crowd sync.WaitGroup
	err = other.InTx(t.Context(), func(tx *sql.Tx) error {
		if err := database.Postgres.Hold(t.Context(), tx, "risk of client shop"); err != nil {
			return err
		}
		for _, q := range confirmations {
			crowd.Go(func() { p.call(q).expect(200, "") })
		}
		waiting := `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`
		for n := 0; n < 8; {
			if err := other.QueryRow(waiting).Scan(&n); err != nil {
				return err
			}
		}
		p.read(v.ID)
		if err := p.server.Ready(t.Context()); err != nil {
			t.Error(err)
		}
		p.call(request{method: "POST", path: "/api/payments", token: books, body: order(1)}).expect(201, "")
		// They were answered while the others waited, and not because these had ended.
		var n int
		if err := tx.QueryRow(waiting).Scan(&n); err != nil || n != 8 {
			t.Errorf("%d wait, %v", n, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	crowd.Wait()
	if n := p.count(`SELECT count(*) FROM payments WHERE status = 'succeeded'`); n != 5 {
		t.Errorf("%d passed", n)
	}
	p.booksAreRight()
}
