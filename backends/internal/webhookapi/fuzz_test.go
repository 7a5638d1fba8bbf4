package webhookapi

import (
	"testing"

	"github.com/open-tollgate/tollgate/backends/internal/databasetest"
	"github.com/open-tollgate/tollgate/backends/internal/openapi/openapitest"
)

// Every operation, with an endpoint and an event of one's own and of somebody else.
func FuzzHandlers(f *testing.F) {
	p := newPlatform(f, fresh.SQLite(f), true)
	own, foreign := p.add("shop", "http://localhost:9/own"), p.add("other", "http://localhost:9/foreign")
	p.publish("shop", 1)
	p.publish("other", 1)
	var events []string
	rows, err := p.db.Query(`SELECT id FROM events ORDER BY client_id DESC`)
	if err != nil {
		f.Fatal(err)
	}
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			f.Fatal(err)
		}
		events = append(events, id)
	}
	if err := rows.Err(); err != nil || len(events) != 2 {
		f.Fatal(err, events)
	}
	token := p.token("shop", "webhooks:read webhooks:write")
	p.doc.Fuzz(f, openapitest.Target{
		Handler: p.routes, Tokens: map[string]string{"webhooks:read": token, "webhooks:write": token},
		Values: map[string][]string{"webhook-endpoints/{id}": {own.ID, foreign.ID, "%00"}, "events/{id}": append(events, "%00")},
		Digest: func(t testing.TB) string {
			return databasetest.Digest(t, p.db, "webhook_endpoints", "webhook_old_secrets", "webhook_deliveries", "events")
		},
	})
}
