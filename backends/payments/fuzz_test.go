package payments

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/open-tollgate/tollgate/backends/internal/idempotency"
)

// fuzzTables are those that a refused request must leave as they are. A decision
// that asks for step-up is kept although the request is refused.
var fuzzTables = []string{"accounts", "payments", "transfers", "unfolded", "consents", "jobs", "events", "webhook_deliveries",
	"idempotency_keys", "risk_rules", "risk_lists", "risk_changes"}

// digest sums up what the database holds.
func (p *platform) digest(t testing.TB) string {
	h := sha256.New()
	for _, table := range fuzzTables {
		rows, err := p.db.Query(`SELECT * FROM ` + table + ` ORDER BY 1, 2`)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = rows.Close() }()
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		for rows.Next() {
			if err := rows.Scan(into...); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(h, "%s %v\n", table, values)
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// fuzzed is a platform with an object in every state, and a token for every scope.
type fuzzed struct {
	*platform
	ids    map[string][]string // by the collection in the path
	tokens map[string]string
}

func newFuzzed(f *testing.F) fuzzed {
	p := newPlatform(f, filepath.Join(f.TempDir(), "test.db"))
	waiting, held, paid := p.create(100), p.held(1000), p.create(100)
	p.call(p.confirmation(paid)).expect(200, "")
	p.setRule("payment_amount", object{"EUR": object{"review": 5000}})
	reviewed := p.create(5001)
	p.call(p.confirmation(reviewed)).expect(202, "")
	var entry entryOfListView
	p.call(p.office("POST", "lists", object{"list": "allow", "subject": "user", "value": "eve"})).expect(201, "").decode(&entry)
	user := p.userToken("ada", "payments:confirm accounts:read accounts:write", p.consent(waiting))
	return fuzzed{p, map[string][]string{
		"payments": {waiting.ID, held.ID, paid.ID, reviewed.ID}, "reviews": {reviewed.ID}, "lists": {entry.ID},
		"accounts": {p.wallet.ID, p.merchant.ID},
	}, map[string]string{
		"payments:create": p.doingToken(), "payments:read": p.doingToken(), "payments:capture": p.doingToken(), "payments:refund": p.doingToken(),
		"payments:confirm": user, "accounts:read": user, "accounts:write": user, "risk:read": p.officer(), "risk:write": p.officer(),
	}}
}

// Whatever is sent to any operation, by somebody who may call it: no 500, no panic,
// and a refused request has changed nothing.
func FuzzHandlers(f *testing.F) {
	p := newFuzzed(f)
	operations := described(f).Operations()
	for i, op := range operations {
		for object := range uint8(4) {
			f.Add(uint8(i), object, `{}`, "", "", "")
		}
		f.Add(uint8(i), uint8(1), `{"amount":{"value":1e999,"currency":"EUR"},"final":null}`, "limit=-1&cursor=%00", `"1"`, "respond-async")
		f.Add(uint8(i), uint8(0), `{"note":"\u0000","name":"\ud800"}`, "status=x&created_from=0&end_to_end_id=%ff&payment_id=%00", "*", "")
		for _, example := range op.Examples {
			text, err := json.Marshal(example)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(uint8(i), uint8(1), string(text), "limit=3", "*", "")
		}
	}
	f.Fuzz(func(t *testing.T, which, object uint8, body, query, match, prefer string) {
		op := operations[int(which)%len(operations)]
		method, path, _ := strings.Cut(op.Pattern, " ")
		for collection, ids := range p.ids {
			if strings.Contains(path, "/"+collection+"/{id}") {
				path = strings.Replace(path, "{id}", ids[int(object)%len(ids)], 1)
			}
		}
		r := httptest.NewRequest(method, strings.Replace(path, "{rule}", "payment_amount", 1), strings.NewReader(body))
		r.URL = &url.URL{Path: r.URL.Path, RawQuery: query}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+p.tokens[strings.Join(op.Scopes, " ")])
		r.Header.Set(idempotency.Header, uuid.NewString())
		for name, value := range map[string]string{"If-Match": match, "If-None-Match": match, "Prefer": prefer} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		before := p.digest(t)
		w := httptest.NewRecorder()
		p.server.ServeHTTP(w, r)
		if w.Code >= 500 || w.Code == 401 {
			t.Errorf("%s with %q and ?%s: %d %s", op.Pattern, body, query, w.Code, w.Body)
		}
		if w.Code >= 300 && p.digest(t) != before {
			t.Errorf("%s with %q and ?%s: %d, and something has changed", op.Pattern, body, query, w.Code)
		}
	})
}
