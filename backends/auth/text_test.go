package auth

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// What PostgreSQL cannot take for text is the caller's mistake, not a database
// that fails: no 503, and no error in the log that strangers can write.
func TestTextThatADatabaseRefuses(t *testing.T) {
	t.Parallel()
	fresh.ForEach(t, func(t *testing.T, dsn string) {
		w := newWorldOn(t, dsn)
		shop, fapi := w.standard(), w.app(Registration{ID: "finance", Kind: "fapi2", GenerateKey: true})
		for _, id := range []string{"a\x00b", "a\xffb"} {
			for _, path := range []string{tokenPath, parPath, introspectPath, revokePath} {
				nobody := &app{w: w, Registered: Registered{ClientID: url.QueryEscape(id), ClientSecret: "x"}}
				form := ownForm("payments:create")
				form.Set("token", "x")
				nobody.post(path, form).wants(t, http.StatusUnauthorized, "invalid_client")
			}
			form := ownForm("payments:create")
			form.Set("client_assertion", fapi.assertion(set("iss", id), set("sub", id)))
			(&app{w: w}).post(tokenPath, form).wants(t, http.StatusUnauthorized, "invalid_client")
			v := w.browser().get(authorizePath + "/" + url.PathEscape(id))
			v.problem(http.StatusBadRequest, "cannot be used")
			v = w.browser().get(openURL(&app{Registered: Registered{ClientID: id}}, "urn:ietf:params:oauth:request_uri:x"))
			v.problem(http.StatusBadRequest, "cannot be used")
		}
		for _, jkt := range []string{"a\x00b", "short", strings.Repeat("x", 44)} {
			shop.post(parPath, shop.pushForm(with("dpop_jkt", jkt))).wants(t, http.StatusBadRequest, "invalid_request")
		}
		shop.post(parPath, shop.pushForm(with("state", "a\x00b"))).wants(t, http.StatusBadRequest, "invalid_request")
		if log := w.log.String(); strings.Contains(log, `"level":"ERROR"`) {
			t.Errorf("logged as an error: %s", log)
		}
	})
}
