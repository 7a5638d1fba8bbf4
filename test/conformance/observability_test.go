package conformance

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/access"
	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

// TestMetricLabelsAreBounded sends what a caller could hope to find in a label.
func TestMetricLabelsAreBounded(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	for _, method := range []string{"GET", "MALLORY", "mallory", "TRACE", "POST"} {
		for _, path := range []string{"/mallory", "/api/payments/mallory", "/api/users?mallory=1", "/oauth/jwks", "/api/accounts"} {
			p.do(t, method, path)
			p.do(t, method, path, withBearer("mallory"))
			p.do(t, method, path, withHost("mallory.test"))
			p.do(t, method, path, withBearer(p.issuer.Token(tokentest.Claim("client_id", "mallory"), tokentest.Claim("sub", "mallory"))))
			p.do(t, method, path, withBearer(p.issuer.Token(tokentest.Claim("iss", "https://mallory.test"), tokentest.Header("kid", "mallory"))))
		}
	}
	allowed := map[string]*regexp.Regexp{
		"api":       regexp.MustCompile(`^(oauth_metadata|resource_metadata|oauth_pages|oauth_endpoints|users|accounts|payments|risk|webhooks|currencies|documents|unknown_path|unknown_host)$`),
		"method":    regexp.MustCompile(`^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|other)$`),
		"code":      regexp.MustCompile(`^[1-5][0-9][0-9]$`),
		"result":    regexp.MustCompile(`^(accepted|refused|denied|fetched|failed)$`),
		"decision":  regexp.MustCompile(`^[a-z_]+$`),
		"direction": regexp.MustCompile(`^(widened|narrowed|moved|not_analysed)$`),
		"zone":      regexp.MustCompile(`^[a-z_]+_(address|client|user)$`),
		"issuer":    regexp.MustCompile(`^` + regexp.QuoteMeta(p.origin) + `$`),
		"le":        regexp.MustCompile(`^([0-9.e+-]+|\+Inf)$`),
	}
	label := regexp.MustCompile(`([a-z_]+)="([^"]*)"`)
	names := make(map[string]bool)
	for line := range strings.Lines(p.metrics()) {
		if strings.Contains(line, "mallory") || strings.Contains(line, "MALLORY") {
			t.Errorf("the caller's word in %s", line)
		}
		if !strings.HasPrefix(line, "tollgate_") {
			continue
		}
		name, _, _ := strings.Cut(line, "{")
		names[name] = true
		for _, match := range label.FindAllStringSubmatch(line, -1) {
			if match[1] == "reason" {
				if !slices.Contains(access.Reasons(), match[2]) {
					t.Errorf("reason %q is no word of the vocabulary", match[2])
				}
			} else if allowed[match[1]] == nil || !allowed[match[1]].MatchString(match[2]) {
				t.Errorf("label %s=%q in %s", match[1], match[2], line)
			}
		}
	}
	for _, name := range []string{
		"tollgate_requests_total", "tollgate_request_duration_seconds_bucket", "tollgate_token_decisions_total",
		"tollgate_rate_limit_decisions_total", "tollgate_keyset_age_seconds",
	} {
		if !names[name] {
			t.Errorf("no %s", name)
		}
	}
}

// TestSeriesStartAtZero: an alert on a rate has to see the very first refusal.
func TestSeriesStartAtZero(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	all := p.metrics()
	for _, labels := range []string{
		`reason="accepted",result="accepted"`, `reason="bad_signature",result="refused"`, `reason="proof_replayed",result="refused"`,
		`reason="keys_unavailable",result="refused"`, `reason="insufficient_scope",result="denied"`, `reason="claim_mismatch",result="denied"`,
		`reason="not_sender_constrained",result="denied"`,
	} {
		if series := `tollgate_token_decisions_total{api="payments",` + labels + `} 0`; !strings.Contains(all, series) {
			t.Errorf("no %s", series)
		}
	}
}

// TestNoSecretIsKept plants secrets wherever a caller can put one, and who the user is,
// in requests that pass, are refused and fail, and looks for them in everything the
// edge writes.
func TestNoSecretIsKept(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, "TOLLGATE_USERS="+freeAddress(t))
	key := tokentest.NewKey(t, "ES256", "")
	user := tokentest.Claim("sub", "canary-user")
	bound := p.issuer.Token(tokentest.BoundTo(key), user)
	plain := p.everything(user)
	forged := tokentest.NewIssuer(t, p.origin).Token()
	secrets := []string{"canary"}
	remember := func(token string) string {
		secrets = append(secrets, strings.Split(token, ".")[1:]...)
		return token
	}
	for _, path := range []string{"/api/accounts", "/api/users/me", "/oauth/token", "/oauth/authorize", "/nothing", "/api//x"} {
		query := path + "?code=canary-code&access_token=" + remember(forged) + "&state=canary"
		proof := key.Proof(time.Now(), http.MethodGet, p.origin+path, bound)
		for _, options := range [][]option{
			{withBearer(remember(plain))},
			{withBearer(remember(forged))},
			{withBearer(remember(bound))},
			{withHeader("Authorization", "DPoP "+bound), withHeader("DPoP", remember(proof))},
			{withHeader("Authorization", "DPoP "+bound), withHeader("DPoP", proof)},
			{withHeader("Authorization", "Basic canary"), withHeader("Cookie", "session=canary"), withHeader("Referer", "https://x.test/?code=canary")},
			{withHeader("Authorization", "canary canary canary")},
		} {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				got := p.do(t, method, path, options...)
				p.expectNoSecret(t, "an answer", string(got.body)+strings.Join(got.header["Www-Authenticate"], ""), secrets)
				p.do(t, method, query, options...)
			}
		}
	}
	p.expectNoSecret(t, "the metrics", p.metrics(), secrets)
	waitFor(t, "the access log", func() bool { return strings.Contains(p.log.String(), "handled request") })
	p.expectNoSecret(t, "the log", p.log.String(), secrets)
}

func (p *platform) expectNoSecret(t *testing.T, where, text string, secrets []string) {
	t.Helper()
	for _, secret := range secrets {
		if at := strings.Index(text, secret); at >= 0 {
			t.Fatalf("a secret in %s: ...%s", where, text[max(0, at-200):min(len(text), at+50)])
		}
	}
}

// TestAccessLogTellsWhy looks for what an operator goes by.
func TestAccessLogTellsWhy(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	got := p.do(t, http.MethodGet, "/api/payments", withBearer("abc"))
	waitFor(t, "the log line", func() bool { return strings.Contains(p.log.String(), got.header.Get("X-Request-Id")) })
	for line := range strings.Lines(p.log.String()) {
		if !strings.Contains(line, got.header.Get("X-Request-Id")) {
			continue
		}
		for _, want := range []string{`"api":"payments"`, `"reason":"malformed"`, `"status":401`, `"interaction_id":"`} {
			if !strings.Contains(line, want) {
				t.Errorf("no %s in %s", want, line)
			}
		}
		return
	}
}

// TestShippedCaddyfileIsFormatted keeps a warning out of every start.
func TestShippedCaddyfileIsFormatted(t *testing.T) {
	t.Parallel()
	output, err := validate(root+"/Caddyfile", "caddyfile")
	if err != nil || strings.Contains(output, `"level":"warn"`) {
		t.Fatalf("%v\n%s", err, output)
	}
}
