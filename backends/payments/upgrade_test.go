package payments

import (
	"database/sql"
	"io/fs"
	"path"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/uuid"

	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/backends/internal/databasetest"
)

// firstFlow are the migrations of the version that could only pay at once.
func firstFlow(t *testing.T) fs.FS {
	t.Helper()
	old := fstest.MapFS{}
	for _, dialect := range []string{"sqlite", "postgres"} {
		files, err := fs.Glob(migrations, "migrations/"+dialect+"/0000[1-5]_*.sql")
		if err != nil || len(files) != 5 {
			t.Fatalf("%v, %v", files, err)
		}
		for _, file := range files {
			text, err := fs.ReadFile(migrations, file)
			if err != nil {
				t.Fatal(err)
			}
			old[path.Clean(file)] = &fstest.MapFile{Data: text}
		}
	}
	return old
}

// A database of the first version, with money in it, is brought up to date as it is.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	databasetest.ForEach(t, func(t *testing.T, dsn string) {
		old, err := database.OpenMigrated(t.Context(), dsn, "payments", firstFlow(t))
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now().UnixMicro()
		wallet, merchant, outside := uuid.NewString(), uuid.NewString(), uuid.NewString()
		paid, waiting := uuid.Must(uuid.NewV7()).String(), uuid.Must(uuid.NewV7()).String()
		err = old.InTx(t.Context(), func(tx *sql.Tx) error {
			for _, s := range []struct {
				statement string
				args      []any
			}{
				{`INSERT INTO accounts (id, kind, owner, name, currency, debits_posted, credits_posted, created_at) VALUES
					($1, 'wallet', 'ada', 'Everyday', 'EUR', 300, 1000, $2)`, []any{wallet, now}},
				{`INSERT INTO accounts (id, kind, owner, name, currency, created_at) VALUES
					($1, 'merchant', 'shop', 'Corner Shop', 'EUR', $3), ($2, 'external', '', 'Outside', 'EUR', $3)`, []any{merchant, outside, now}},
				{`INSERT INTO payments (id, client_id, creditor_account, creditor_name, payer, debtor_account, amount, currency, authorised, captured,
					status, created_at, updated_at, expires_at) VALUES ($1, 'shop', $2, 'Corner Shop', 'ada', $3, 300, 'EUR', 300, 300, 'succeeded', $4, $4, $4)`,
					[]any{paid, merchant, wallet, now}},
				{`INSERT INTO payments (id, client_id, creditor_account, creditor_name, amount, currency, status, created_at, updated_at, expires_at)
					VALUES ($1, 'shop', $2, 'Corner Shop', 50, 'EUR', 'requires_consent', $3, $3, $4)`,
					[]any{waiting, merchant, now, now + time.Hour.Microseconds()}},
				{`INSERT INTO transfers (id, kind, debit_account, credit_account, amount, currency, purpose, payment_id, created_at) VALUES
					('1', 'direct', $1, $2, 1000, 'EUR', 'deposit', NULL, $5), ('2', 'direct', $2, $3, 300, 'EUR', 'payment', $4, $5)`,
					[]any{outside, wallet, merchant, paid, now}},
				{`INSERT INTO consents (payment_id, token_id, client_id, user_id, debtor_account, creditor_account, amount, currency, used_at)
					VALUES ($1, 'jti', 'shop', 'ada', $2, $3, 300, 'EUR', $4)`, []any{paid, wallet, merchant, now}},
				{`INSERT INTO events (id, client_id, type, subject, payload, created_at) VALUES ('e', 'shop', 'payment.succeeded', $1, $2, $3)`,
					[]any{paid, []byte(`{}`), now}},
			} {
				if _, err := tx.Exec(s.statement, s.args...); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := old.Close(); err != nil {
			t.Fatal(err)
		}

		p := newPlatform(t, dsn) // migrates, and adds no account that is there
		p.booksAreRight()
		if got := p.available(Account{ID: merchant, Owner: "shop"}); got != 300 {
			t.Errorf("the merchant has %d", got)
		}
		if v := p.read(paid); v.Status != Succeeded || v.CaptureMethod != automatic || v.Authorised.Value != 300 {
			t.Errorf("got %+v", v)
		}
		p.wallet.ID = wallet
		p.call(p.confirmation(p.read(waiting))).expect(200, "")
		p.call(p.do(paid, "refunds", cents(100))).expect(201, "")
		if got := p.available(p.wallet); got != 750 {
			t.Errorf("the wallet has %d", got)
		}
		p.booksAreRight()
	})
}
