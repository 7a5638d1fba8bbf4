package payments

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/database"
)

// What seed writes beside payments.
const (
	seedMerchants = 1000
	seedUsers     = 10_000
	seedDays      = 30 * 24 * time.Hour
)

// seedDialect is where the databases differ: `series` gives the numbers from 0 to
// below PAYMENTS, USERS or MERCHANTS, uuid an id of version 7 (of a time in
// microseconds, of a kind, with a number), and bytes a text's.
var seedDialect = map[database.Dialect]*strings.Replacer{
	database.SQLite: strings.NewReplacer(
		"«series ", "(WITH RECURSIVE s(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM s LIMIT ", " series»", ") SELECT i FROM s)",
		"«uuid ", "printf('%08x-%04x-7%03d-8000-%012x', ", " uuid»", ")",
		"«name ", "printf('seed%05d', ", " name»", ")",
		"«bytes ", "CAST(", " bytes»", " AS BLOB)",
	),
	database.Postgres: strings.NewReplacer(
		"«series ", "(SELECT i FROM generate_series(0::bigint, ", " series»", " - 1) s(i))",
		"«uuid ", "pg_temp.seed_uuid(", " uuid»", ")",
		"«name ", "'seed' || lpad((", " name»", ")::text, 5, '0')",
		"«bytes ", "convert_to(", " bytes»", ", 'UTF8')",
	),
}

// seedFrame is what comes before and after the inserts, and the query for the indexes
// that are made anew behind them: their names and definitions.
var seedFrame = map[database.Dialect]struct {
	before, after []string
	indexes       string
}{
	// Neither looks up foreign keys, which takes longer than all the rest: Verify looks
	// for what they would find.
	database.SQLite: {
		[]string{`PRAGMA foreign_keys = 0`, `PRAGMA cache_size = -500000`, `BEGIN IMMEDIATE`},
		[]string{`COMMIT`, `PRAGMA foreign_keys = 1`, `PRAGMA cache_size = -2000`, `ANALYZE`, `PRAGMA wal_checkpoint(TRUNCATE)`},
		`SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name <> 'accounts' ORDER BY name`,
	},
	database.Postgres: {
		[]string{
			`SET statement_timeout = 0`, `SET work_mem = '256MB'`, `SET maintenance_work_mem = '512MB'`, `SET session_replication_role = replica`,
			`CREATE FUNCTION pg_temp.seed_uuid(high bigint, low bigint, kind int, i bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
				SELECT lpad(to_hex(high), 8, '0') || '-' || lpad(to_hex(low), 4, '0') || '-7' || lpad(kind::text, 3, '0') || '-8000-' || lpad(to_hex(i), 12, '0') $$`,
			`BEGIN`,
		},
		[]string{`COMMIT`, `VACUUM ANALYZE`, `CHECKPOINT`, `RESET ALL`},
		`SELECT i.indexname, i.indexdef FROM pg_indexes i WHERE i.schemaname = 'payments' AND i.tablename <> 'accounts'
			AND i.indexname NOT IN (SELECT conname FROM pg_constraint) AND i.indexname NOT LIKE 'goose%' ORDER BY 1`,
	},
}

// seedRows are the inserts. A payment is told by its number i and its time at, which
// grows with i. Each other is to the first merchant, the rest is spread.
var seedRows = []string{
	`CREATE TEMPORARY TABLE seed_users AS SELECT i, «name i name» AS owner, «uuid START >> 16, START & 65535, 1, i uuid» AS id FROM «series USERS series» n`,
	`CREATE TEMPORARY TABLE seed_merchants AS SELECT i, «name i name» AS owner, «uuid START >> 16, START & 65535, 2, i uuid» AS id FROM «series MERCHANTS series» n`,
	`CREATE UNIQUE INDEX seed_users_i ON seed_users (i)`,
	`CREATE UNIQUE INDEX seed_merchants_i ON seed_merchants (i)`,
	`CREATE TEMPORARY TABLE seed_payments AS
		SELECT n.i, n.at, u.owner AS payer, u.id AS wallet, m.owner AS client, m.id AS merchant,
			«uuid (n.at / 1000) >> 16, (n.at / 1000) & 65535, 4, n.i uuid» AS id
		FROM (SELECT i, FIRST + i * STEP AS at FROM «series PAYMENTS series» s) n
		JOIN seed_users u ON u.i = (n.i * 7919) % USERS JOIN seed_merchants m
			ON m.i = CASE n.i % 2 WHEN 0 THEN 0 ELSE (n.i * 31 + n.i / 1000) % MERCHANTS END`,
	`INSERT INTO accounts (id, kind, owner, name, currency, created_at, credits_posted, debits_posted)
		SELECT u.id, 'wallet', u.owner, 'Everyday', 'EUR', FIRST, DEPOSIT, COALESCE(p.n, 0) * 10
		FROM seed_users u LEFT JOIN (SELECT wallet, count(*) AS n FROM seed_payments GROUP BY wallet) p ON p.wallet = u.id`,
	`INSERT INTO accounts (id, kind, owner, name, currency, created_at, credits_posted)
		SELECT m.id, 'merchant', m.owner, 'Shop', 'EUR', FIRST, COALESCE(p.n, 0) * 10
		FROM seed_merchants m LEFT JOIN (SELECT merchant, count(*) AS n FROM seed_payments GROUP BY merchant) p ON p.merchant = m.id`,
	`UPDATE accounts SET debits_posted = debits_posted + USERS * CAST(DEPOSIT AS BIGINT) WHERE kind = 'external' AND currency = 'EUR'`,
	`INSERT INTO transfers (id, kind, debit_account, credit_account, amount, currency, purpose, created_at)
		SELECT «uuid START >> 16, START & 65535, 3, i uuid», 'direct', (SELECT id FROM accounts WHERE kind = 'external' AND currency = 'EUR'), id,
			DEPOSIT, 'EUR', 'deposit', FIRST FROM seed_users`,
	`INSERT INTO payments (id, client_id, creditor_account, creditor_name, payer, debtor_account, amount, currency, authorised, captured, status,
			end_to_end_id, version, created_at, updated_at, expires_at)
		SELECT id, client, merchant, 'Shop', payer, wallet, 10, 'EUR', 10, 10, 'succeeded', 'order ' || i, 2, at, at, at + 3600000000 FROM seed_payments`,
	`INSERT INTO consents (payment_id, token_id, client_id, user_id, debtor_account, creditor_account, amount, currency, used_at)
		SELECT id, 'token ' || id, client, payer, wallet, merchant, 10, 'EUR', at FROM seed_payments`,
	`INSERT INTO transfers (id, kind, debit_account, credit_account, amount, currency, purpose, payment_id, created_at)
		SELECT «uuid (at / 1000) >> 16, (at / 1000) & 65535, 5, i uuid», 'direct', wallet, merchant, 10, 'EUR', 'payment', id, at FROM seed_payments`,
	`INSERT INTO risk_decisions (id, payment_id, outcome, findings, inputs, created_at)
		SELECT «uuid (at / 1000) >> 16, (at / 1000) & 65535, 6, i uuid», id, 'allow', '[]', '{"measured":{"new_payee":0,"payment_amount":10}}', at FROM seed_payments`,
	`INSERT INTO events (id, client_id, type, subject, payload, created_at, position)
		SELECT «uuid (at / 1000) >> 16, (at / 1000) & 65535, 7, i uuid», client, 'payment.succeeded', id,
			«bytes '{"type":"payment.succeeded","timestamp":"2026-01-01T00:00:00Z","data":{"id":"' || id || '"}}' bytes», at, i + 1 FROM seed_payments`,
	`UPDATE event_position SET last = PAYMENTS`,
	`INSERT INTO idempotency_keys (client_id, method, route, idem_key, fingerprint, status, header, body, created_at)
		SELECT client, 'POST', '/api/payments/{id}/confirm', id, «bytes id bytes», 200, '{}', «bytes '{}' bytes», at FROM seed_payments WHERE at > FRESH`,
	`DROP TABLE seed_payments`, `DROP TABLE seed_merchants`, `DROP TABLE seed_users`,
}

// seed writes users with money, merchants, and a history of payments between them in
// the last thirty days, as the service would have left it: payments, consents,
// transfers, decisions, events, and a day of idempotency keys. It takes rows in bulk,
// where the service takes one after another.
func seed(p *platform, payments int) {
	p.t.Helper()
	first := p.now().Add(-seedDays).UnixMicro()
	numbers := strings.NewReplacer(
		"PAYMENTS", strconv.Itoa(payments), "USERS", strconv.Itoa(seedUsers), "MERCHANTS", strconv.Itoa(seedMerchants),
		"DEPOSIT", "100000000",
		"START", strconv.FormatInt(first/1000, 10), "FIRST", strconv.FormatInt(first, 10),
		"STEP", strconv.FormatInt(seedDays.Microseconds()/int64(payments+1), 10),
		"FRESH", strconv.FormatInt(p.now().Add(-24*time.Hour).UnixMicro(), 10),
	)
	// The transaction is of this one connection, and so are its settings.
	conn, err := p.db.Conn(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	frame := seedFrame[p.db.Dialect]
	rows, err := conn.QueryContext(p.t.Context(), frame.indexes)
	if err != nil {
		p.t.Fatal(err)
	}
	var drop, create []string
	for rows.Next() {
		var name, definition string
		if err := rows.Scan(&name, &definition); err != nil {
			p.t.Fatal(err)
		}
		drop, create = append(drop, `DROP INDEX `+name), append(create, definition)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		p.t.Fatal(err)
	}
	for _, statement := range slices.Concat(frame.before, drop, seedRows, create, frame.after) {
		if _, err := conn.ExecContext(p.t.Context(), seedDialect[p.db.Dialect].Replace(numbers.Replace(statement))); err != nil {
			p.t.Fatalf("%v\n%s", err, statement)
		}
	}
}

// What benchmarks are measured in is as right as what the service writes.
func TestSeededBooksAreRight(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		seed(p, 5000)
		p.booksAreRight()
		if n := p.count(`SELECT count(*) FROM transfers WHERE purpose = 'payment'`); n != 5000 {
			t.Errorf("%d payments", n)
		}
	})
}

// No rule's check goes through pairs of rows: the costs that PostgreSQL expects, of
// every part of the plan, grow with the rows and not with their square.
func TestVerifyGrowsWithTheRows(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, fresh.Postgres(t))
	seed(p, 20_000)
	for _, rule := range append(slices.Clone(rules), toldOnce(p.now())) {
		for _, line := range column(p, `EXPLAIN `+rule.First()) {
			_, cost, _ := strings.Cut(line, "..")
			cost, _, found := strings.Cut(cost, " rows=")
			if worth, err := strconv.ParseFloat(cost, 64); found && (err != nil || worth > 1_000_000) {
				t.Errorf("%q: %s", rule.Name, line)
			}
		}
	}
	p.booksAreRight()
}
