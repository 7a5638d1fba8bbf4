package payments

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/open-tollgate/tollgate/backends/internal/database"
)

// plan says how a query would be carried out, if there were many rows.
func (p *platform) plan(query string, args ...any) string {
	p.t.Helper()
	conn, err := p.db.Conn(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	explain := `EXPLAIN QUERY PLAN `
	if p.db.Dialect == database.Postgres {
		explain = `EXPLAIN `
		// With few rows it would read all of them.
		if _, err := conn.ExecContext(p.t.Context(), `SET enable_seqscan = off; SET enable_bitmapscan = off`); err != nil {
			p.t.Fatal(err)
		}
		defer func() { _, _ = conn.ExecContext(p.t.Context(), `RESET ALL`) }()
	}
	rows, err := conn.QueryContext(p.t.Context(), explain+query, args...)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var plan strings.Builder
	for rows.Next() {
		var line string
		into := []any{new(int), new(int), new(int), &line}
		if p.db.Dialect == database.Postgres {
			into = into[3:]
		}
		if err := rows.Scan(into...); err != nil {
			p.t.Fatal(err)
		}
		plan.WriteString(line + "\n")
	}
	if err := rows.Err(); err != nil {
		p.t.Fatal(err)
	}
	return plan.String()
}

// What grows with the years is read by an index that leads to what is asked for: a
// client with a million payments asks for the three that were rejected.
func TestLongListsAreReadByIndex(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		rejected, err := readSearch(httptest.NewRequest("GET", "/api/payments?status=rejected", nil))
		if err != nil {
			t.Fatal(err)
		}
		rejected.and("client_id = ?", "shop")
		condition, args := rejected.newest(20)
		for _, c := range []struct {
			index, query string
			args         []any
		}{
			{"payments_not_succeeded", paymentColumns + condition, args},
			{"events_feed_type", `SELECT id FROM events WHERE client_id = $1 AND position > $2 AND type = $3 ORDER BY position LIMIT 20`,
				[]any{"shop", 7, "payment.rejected"}},
			{"webhook_deliveries_endpoint", `DELETE FROM webhook_deliveries WHERE endpoint_id = $1`, []any{"x"}},
			{"webhook_deliveries_endpoint", `SELECT id FROM webhook_deliveries WHERE endpoint_id = $1 AND state = 'pending' AND due_at <= $2 ORDER BY due_at LIMIT 4`,
				[]any{"x", 7}},
		} {
			if plan := p.plan(c.query, c.args...); !strings.Contains(plan, c.index) {
				t.Errorf("%s\nis read by\n%s", c.query, plan)
			}
		}
	})
}
