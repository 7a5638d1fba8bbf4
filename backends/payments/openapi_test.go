package payments

import (
	_ "embed" // for the released document
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/open-tollgate/tollgate/backends/internal/openapi/openapitest"
	"github.com/open-tollgate/tollgate/backends/internal/webhookapi"
)

func described(t testing.TB) *openapitest.Document { return openapitest.Load(t, document) }

// Every call of every test is held to the document as well, see platform.call.
func TestTheDocumentIsTrue(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, fresh.SQLite(t))
	own := slices.DeleteFunc(p.server.routes.Patterns(), func(pattern string) bool { // package webhookapi's have a document of theirs
		return strings.Contains(pattern, " /api/webhook-endpoints") || strings.Contains(pattern, " /api/events")
	})
	described(t).RequireRoutes(t, own)
	described(t).RequireScopes(t, p.server, p.clientToken("shop", "nothing"))
	a := p.call(request{method: "GET", path: "/openapi/payments.yaml"}).expect(200, "")
	if a.Body.String() != string(document) || a.Header().Get("Cache-Control") != "public, max-age=300" {
		t.Errorf("got %v", a.Header())
	}
}

// Each example is a request that works, against an object that is in the state for it.
func TestTheExamplesWork(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		if _, err := p.db.Exec(`UPDATE risk_rules SET enabled = FALSE`); err != nil {
			t.Fatal(err)
		}
		paid := func() paymentView { return p.call(p.confirmation(p.create(1000))).expect(200, "").payment() }
		reviewed := func() paymentView {
			p.setRule("payment_amount", object{"EUR": object{"review": 1}})
			v := p.call(p.confirmation(p.create(1000))).expect(202, "").payment()
			p.setRule("payment_amount", object{})
			return v
		}
		shop, officer := p.doingToken(), p.officer()
		prepare := map[string]func() (id, token string){
			"POST /api/payments":                  func() (string, string) { return "", shop },
			"POST /api/accounts":                  func() (string, string) { return "", p.userToken("ada", "accounts:write") },
			"POST /api/payments/{id}/captures":    func() (string, string) { return p.held(1000).ID, shop },
			"POST /api/payments/{id}/cancel":      func() (string, string) { return p.held(1000).ID, shop },
			"POST /api/payments/{id}/refunds":     func() (string, string) { return paid().ID, shop },
			"PUT /api/risk/rules/{rule}":          func() (string, string) { return "payment_amount", officer },
			"POST /api/risk/lists":                func() (string, string) { return "", officer },
			"POST /api/risk/reviews/{id}/approve": func() (string, string) { return reviewed().ID, officer },
			"POST /api/risk/reviews/{id}/reject":  func() (string, string) { return reviewed().ID, officer },
			"POST /api/payments/{id}/confirm":     nil, // takes its user's token: below
		}
		for _, op := range described(t).Operations() {
			if len(op.Examples) == 0 {
				continue
			}
			ready, known := prepare[op.Pattern]
			if !known {
				t.Errorf("nobody knows how to try the examples of %s", op.Pattern)
			}
			method, path, _ := strings.Cut(op.Pattern, " ")
			for name, body := range op.Examples {
				q := request{method: method, body: body, header: map[string]string{}}
				if ready == nil {
					q = p.confirmation(p.create(10))
					q.body = body
				} else {
					var id string
					id, q.token = ready()
					q.path = strings.NewReplacer("{id}", id, "{rule}", id).Replace(path)
				}
				if method == http.MethodPut {
					q.header["If-Match"] = p.call(request{method: "GET", path: q.path, token: q.token}).expect(200, "").Header().Get("ETag")
				}
				if a := p.call(q); a.Code >= 300 {
					t.Errorf("%s, %s: %d %s", op.Pattern, name, a.Code, a.Body)
				}
			}
		}
		p.booksAreRight()
	})
}

// released is the document as clients know it. A release copies the current one here;
// nothing else changes it.
//
//go:embed testdata/openapi-1.0.0.yaml
var released []byte

func TestNoChangeBreaksClients(t *testing.T) {
	t.Parallel()
	// The guide says that there may be more reasons one day.
	openapitest.RequireCompatible(t, released, document, "added the new `account_closed` enum value")
}

// Whoever receives webhooks finds every type of event described, and no other.
func TestEveryEventIsDescribed(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../docs/webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	kinds := []string{eventCaptured, eventRefunded, eventRefundRejected}
	for status := range iso20022 {
		if status != RequiresConsent { // that is what the client has just been answered
			kinds = append(kinds, "payment."+string(status))
		}
	}
	for _, kind := range kinds {
		if !strings.Contains(string(guide), "`"+kind+"`") {
			t.Errorf("the guide lacks %s", kind)
		}
		if state := strings.TrimPrefix(kind, "payment."); !strings.Contains(string(webhookapi.Document), state) {
			t.Errorf("the document lacks %s", kind)
		}
	}
	for _, named := range regexp.MustCompile("`(payment\\.[a-z_]+)`").FindAllStringSubmatch(string(guide), -1) {
		if !slices.Contains(kinds, named[1]) {
			t.Errorf("the guide has %s, which is never sent", named[1])
		}
	}
}
