package outbox

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestPurge(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *post) {
		server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		defer server.Close()
		purge := func(events int) {
			t.Helper()
			if err := Purge(t.Context(), p.db, p.now()); err != nil {
				t.Fatal(err)
			}
			p.await(events, `SELECT count(*) FROM events`)
		}
		p.publish("nobody", purgeBatch+1) // there is no endpoint
		p.endpoint("shop", server.URL)
		p.publish("shop", 2)
		_, stop := p.start()
		p.await(2, delivered)
		stop()
		p.publish("shop", 1) // stays on its way
		p.endpoint("gone", "http://localhost:1/")
		p.publish("gone", 1)
		if _, err := p.db.Exec(`UPDATE webhook_endpoints SET disabled_at = 1 WHERE client_id = 'gone'`); err != nil {
			t.Fatal(err)
		}
		p.advance(Retention - time.Second)
		purge(purgeBatch + 5)
		p.publish("shop", 1) // is young
		p.advance(time.Second)
		purge(2)
		p.await(2, `SELECT count(*) FROM webhook_deliveries`)
		p.start()
		p.await(2, delivered)
	})
}
