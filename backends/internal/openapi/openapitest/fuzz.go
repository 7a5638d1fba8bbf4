package openapitest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// Target is a service that is sent whatever there is.
type Target struct {
	Handler http.Handler
	Tokens  map[string]string // somebody's who may, by the scopes of an operation
	// Values are what variables of paths can be, by the variable with what is before
	// it: "payments/{id}".
	Values map[string][]string
	// Digest sums up what a refused request must leave as it is.
	Digest func(testing.TB) string
}

// Fuzz sends whatever there is to any operation, by somebody who may call it: no
// 500, no panic, and a refused request has changed nothing.
func (d *Document) Fuzz(f *testing.F, target Target) {
	operations := d.Operations()
	for i, op := range operations {
		for object := range uint8(4) {
			f.Add(uint8(i), object, `{}`, "", "", "")
		}
		f.Add(uint8(i), uint8(1), `{"amount":{"value":1e999,"currency":"EUR"},"final":null}`, "limit=-1&cursor=%00", `"1"`, "respond-async")
		f.Add(uint8(i), uint8(0), `{"note":"\u0000","name":"\ud800","url":"http://\u0000"}`, "status=x&created_from=0&end_to_end_id=%ff&payment_id=%00&subject=%00&type=%ff", "*", "")
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
		for variable, values := range target.Values {
			before, _, _ := strings.Cut(variable, "{")
			path = strings.Replace(path, variable, before+values[int(object)%len(values)], 1)
		}
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.URL = &url.URL{Path: r.URL.Path, RawQuery: query}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+target.Tokens[strings.Join(op.Scopes, " ")])
		r.Header.Set("Idempotency-Key", uuid.NewString())
		for name, value := range map[string]string{"If-Match": match, "If-None-Match": match, "Prefer": prefer} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		before := target.Digest(t)
		w := httptest.NewRecorder()
		target.Handler.ServeHTTP(w, r)
		if w.Code >= 500 || w.Code == http.StatusUnauthorized {
			t.Errorf("%s with %q and ?%s: %d %s", op.Pattern, body, query, w.Code, w.Body)
		}
		if w.Code >= 300 && target.Digest(t) != before {
			t.Errorf("%s with %q and ?%s: %d, and something has changed", op.Pattern, body, query, w.Code)
		}
	})
}
