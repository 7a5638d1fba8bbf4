package auth

import (
	"net/http"
	"strings"
	"testing"
)

// GET and POST are alike (OIDC Core section 5.3.1).
func TestUserinfo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bearer := w.standard().tokens().text("access_token")
	app := w.fapi2()
	bound := app.tokens().text("access_token")
	noOpenID := app.tokens(with("scope", "accounts:read")).text("access_token")
	proofFor := func(method, token string) string {
		return dpopProof(t, app.proof, method, w.issuer+userinfoPath, set("ath", hashOf(token)))
	}
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		proof := func(token string) string { return proofFor(method, token) }
		for name, c := range map[string]struct {
			authorization, proof string
			status               int
			code                 string
		}{
			"bearer":              {"Bearer " + bearer, "", 200, ""},
			"bound":               {"DPoP " + bound, proof(bound), 200, ""},
			"nothing":             {"", "", 401, ""},
			"bound as bearer":     {"Bearer " + bound, proof(bound), 401, "invalid_token"},
			"bearer as bound":     {"DPoP " + bearer, proof(bearer), 401, "invalid_token"},
			"bound without proof": {"DPoP " + bound, "", 401, "invalid_dpop_proof"},
			"another method":      {"DPoP " + bound, proofFor(http.MethodPut, bound), 401, "invalid_dpop_proof"},
			"proof of another":    {"DPoP " + bound, proof(bearer), 401, "invalid_dpop_proof"},
			"without openid":      {"DPoP " + noOpenID, proof(noOpenID), 403, "insufficient_scope"},
			"another scheme":      {"Basic " + bearer, "", 401, "invalid_token"},
			"not a token":         {"Bearer abc", "", 401, "invalid_token"},
		} {
			t.Run(method+" "+name, func(t *testing.T) {
				r, err := http.NewRequestWithContext(t.Context(), method, w.issuer+userinfoPath, nil)
				if err != nil {
					t.Fatal(err)
				}
				if c.authorization != "" {
					r.Header.Set("Authorization", c.authorization)
				}
				if c.proof != "" {
					r.Header.Set("DPoP", c.proof)
				}
				got := w.do(r)
				if got.status != c.status || got.text("error") != c.code {
					t.Fatalf("got %d %v", got.status, got.body)
				}
				if c.authorization == "" && got.text("code") != "missing_credentials" {
					t.Errorf("the code is %q", got.text("code"))
				}
				if c.status == 200 && got.body["sub"] != aliceID {
					t.Errorf("got %v", got.body)
				}
				if challenge := got.header.Get("WWW-Authenticate"); c.status != 200 && !strings.Contains(challenge, c.code) {
					t.Errorf("challenge: %q", challenge)
				}
			})
		}
	}
}

func TestUserinfoTakesNoTokenInTheBody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bearer := w.standard().tokens().text("access_token")
	const form = "application/x-www-form-urlencoded"
	for name, c := range map[string]struct {
		authorization, mediaType, body string
		status                         int
	}{
		"an empty form":          {"Bearer " + bearer, form, "", http.StatusOK},
		"another parameter":      {"Bearer " + bearer, form, "a=b", http.StatusOK},
		"a token in the body":    {"", form, "access_token=" + bearer, http.StatusBadRequest},
		"a token in both":        {"Bearer " + bearer, form, "access_token=" + bearer, http.StatusBadRequest},
		"a parameter twice":      {"Bearer " + bearer, form, "a=b&a=c", http.StatusBadRequest},
		"a body that is no form": {"Bearer " + bearer, "application/json", "{}", http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.issuer+userinfoPath, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", c.mediaType)
			if c.authorization != "" {
				r.Header.Set("Authorization", c.authorization)
			}
			got := w.do(r)
			if got.status != c.status {
				t.Fatalf("got %d %v", got.status, got.body)
			}
			if c.status != http.StatusOK && got.text("error") != "invalid_request" {
				t.Errorf("got %v", got.body)
			}
		})
	}
}
