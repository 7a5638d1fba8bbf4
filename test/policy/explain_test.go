package policy

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/open-tollgate/tollgate/internal/policy"
)

const explained = `{
	admin off
	tollgate {
		redis redis://127.0.0.1:1
		origin https://edge.test:8443
		issuer https://issuer.test {
			audience https://edge.test/api
			algorithms ES256
			jwks_uri https://issuer.test/keys
		}
		issuer https://asked.test {
			audience https://edge.test/api
			jwks_uri off
			introspection https://asked.test/introspect {
				client_id edge
				client_secret {file.SECRET}
			}
		}
	}
}
https://edge.test:8443 {
	api pay /pay /pay/* {
		methods GET POST
		access_token
		require {
			scope read
		}
		@write method POST
		require @write {
			scope pay
			sender_constrained
		}
		@big header X-Amount big
		require @big {
			acr strong
			max_age 5m
			claim tier gold
			authorization_details payment
		}
		rate_limit {
			zone address {
				key {client_ip}
				events 9
				window 1m
				cost {query.n} 1
				shadow
			}
			zone client {
				key {http.auth.client.id}
				events 5
				window 1m
				on_failure closed
			}
			zone app {
				match {
					path /pay/app
				}
				key {header.X-App}
				events 5
				window 1m
				cost {query.n}
			}
		}
		handle /pay/* {
			reverse_proxy 127.0.0.1:1
		}
	}
	api docs /docs {
		public
		methods GET
		respond 204
	}
}
`

// TestExplain asks the built command about a request for each step that can refuse it.
func TestExplain(t *testing.T) {
	t.Parallel()
	tollgate, err := built()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, content string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	secret := write("secret", "s3cret-of-the-edge")
	config := write("Caddyfile", strings.ReplaceAll(explained, "SECRET", secret))
	const (
		reader = `{"iss":"https://issuer.test","aud":"https://edge.test/api","sub":"alice","client_id":"shop","scope":"read"}`
		payer  = `{"iss":"https://issuer.test","aud":["x","https://edge.test/api"],"sub":"alice","client_id":"shop","scope":"read pay","cnf":{"jkt":"k"}}`
		holder = `{"iss":"https://issuer.test","aud":"https://edge.test/api","sub":"alice","client_id":"shop","scope":"read pay","cnf":{"x5t#S256":"k"}}`
		opaque = `{"iss":"https://asked.test","aud":"https://edge.test/api","sub":"alice","client_id":"shop","scope":"read"}`
	)
	strong := strings.Replace(reader, `"read"`, `"read","acr":"strong","auth_time":AT,"tier":"gold","authorization_details":[{"type":"payment"}]`, 1)
	for name, test := range map[string]struct {
		claims string
		args   []string
		want   []string // in this order
	}{
		"let in":                   {reader, []string{"GET", "https://edge.test:8443/pay/1"}, []string{"api pay", "access_token", "require scope read", "rate_limit", `counts 1 in address for "127.0.0.1": 9 in 1m0s, in shadow`, `counts 1 in client for "shop": 5 in 1m0s`, "=> forwarded to http://127.0.0.1:1", "decided by reverse_proxy", "may also answer 503 keys_unavailable while the keys of https://issuer.test", "revocations_unavailable", "zone client is full, 503 rate_limit_unavailable"}},
		"from elsewhere":           {reader, []string{"GET", "https://edge.test:8443/pay/1?n=4", "--address", "2001:db8::7"}, []string{`counts 4 in address for "2001:db8::/64"`}},
		"no token":                 {"", []string{"GET", "https://edge.test:8443/pay/1"}, []string{"=> 401 no_credentials", "decided by access_token", "WWW-Authenticate: Bearer"}},
		"token in the query":       {"", []string{"GET", "https://edge.test:8443/pay/1?access_token=x"}, []string{"=> 400 token_in_query"}},
		"another issuer":           {strings.Replace(reader, "issuer.test", "other.test", 1), []string{"GET", "https://edge.test:8443/pay/1"}, []string{"=> 401 unknown_issuer", `Bearer error="invalid_token"`}},
		"another audience":         {strings.Replace(reader, "edge.test/api", "edge.test", 1), []string{"GET", "https://edge.test:8443/pay/1"}, []string{"=> 401 wrong_audience"}},
		"another algorithm":        {reader, []string{"GET", "https://edge.test:8443/pay/1", "--alg", "RS256"}, []string{"=> 401 wrong_algorithm"}},
		"expired":                  {strings.Replace(reader, `"sub"`, `"exp":1000000000,"sub"`, 1), []string{"GET", "https://edge.test:8443/pay/1"}, []string{"=> 401 expired"}},
		"opaque":                   {opaque, []string{"GET", "https://edge.test:8443/pay/1", "--alg", "opaque"}, []string{"=> forwarded", "introspection_unavailable"}},
		"too few scopes":           {reader, []string{"POST", "https://edge.test:8443/pay/1"}, []string{"require scope pay sender_constrained", "=> 401 not_sender_constrained"}},
		"a scope is missing":       {strings.Replace(payer, " pay", "", 1), []string{"POST", "https://edge.test:8443/pay/1", "--dpop"}, []string{"=> 403 insufficient_scope", `DPoP error="insufficient_scope" scope="pay"`}},
		"bound, as bearer":         {payer, []string{"POST", "https://edge.test:8443/pay/1"}, []string{"=> 401 bound_token_as_bearer"}},
		"bound, with its proof":    {payer, []string{"POST", "https://edge.test:8443/pay/1", "--dpop"}, []string{"=> forwarded", "may also answer 401 proof_replayed"}},
		"without its certificate":  {holder, []string{"POST", "https://edge.test:8443/pay/1"}, []string{"=> 401 certificate_missing"}},
		"with its certificate":     {holder, []string{"POST", "https://edge.test:8443/pay/1", "--certificate"}, []string{"=> forwarded"}},
		"a weak login":             {strings.Replace(reader, `"read"`, `"read","tier":"gold","authorization_details":[{"type":"payment"}]`, 1), []string{"GET", "https://edge.test:8443/pay/1", "--header", "X-Amount: big"}, []string{"=> 401 insufficient_user_authentication"}},
		"a login of long ago":      {strings.Replace(strong, "AT", "1000000000", 1), []string{"GET", "https://edge.test:8443/pay/1", "--header", "X-Amount: big"}, []string{"=> 401 insufficient_user_authentication"}},
		"a fresh, strong login":    {strings.Replace(strong, "AT", "4000000000", 1), []string{"GET", "https://edge.test:8443/pay/1", "--header", "X-Amount: big"}, []string{"=> forwarded"}},
		"another claim":            {strings.NewReplacer("gold", "iron", "AT", "4000000000").Replace(strong), []string{"GET", "https://edge.test:8443/pay/1", "--header", "X-Amount: big"}, []string{"=> 403 claim_mismatch"}},
		"nobody to count":          {reader, []string{"GET", "https://edge.test:8443/pay/app"}, []string{"=> 403 rate_limit_key_missing", "decided by rate_limit app"}},
		"no cost":                  {reader, []string{"GET", "https://edge.test:8443/pay/app", "--header", "X-App: a"}, []string{"=> 400 rate_limit_cost_missing"}},
		"more than it ever holds":  {reader, []string{"GET", "https://edge.test:8443/pay/app?n=6", "--header", "X-App: a"}, []string{"=> 400 rate_limit_cost_too_large"}},
		"a cost":                   {reader, []string{"GET", "https://edge.test:8443/pay/app?n=3", "--header", "X-App: a"}, []string{`counts 3 in app for "a": 5 in 1m0s`, "=> forwarded"}},
		"a method":                 {reader, []string{"DELETE", "https://edge.test:8443/pay/1"}, []string{"=> 405 method_not_allowed", "methods GET POST"}},
		"a path that is not plain": {reader, []string{"GET", "https://edge.test:8443/pay/../docs"}, []string{"=> 400 path_not_canonical"}},
		"nothing there":            {reader, []string{"GET", "https://edge.test:8443/pay"}, []string{"=> 404 not_found"}},
		"public":                   {"", []string{"GET", "https://edge.test:8443/docs"}, []string{"api docs", "=> 204 responded"}},
		"by plain HTTP":            {"", []string{"GET", "http://edge.test/docs"}, []string{"automatic HTTPS: redirect to https://{http.request.host}:8443{http.request.uri}", "=> 308 responded"}},
		"outside":                  {"", []string{"GET", "https://edge.test:8443/"}, []string{"=> 200 nothing", "no rule answers"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"policy", "explain", "--config", config}, test.args...)
			if test.claims != "" {
				args = append(args, "--claims", "-")
			}
			out := run(t, tollgate, test.claims, 0, args...)
			if test.claims == "" && strings.Contains(out, "keys_unavailable") {
				t.Errorf("no key is asked for without a token: %s", out)
			}
			rest := out
			for _, want := range test.want {
				_, after, found := strings.Cut(rest, want)
				if !found {
					t.Fatalf("want %q, in this order: %q\n%s", want, test.want, out)
				}
				rest = after
			}
			var e policy.Explanation
			if err := json.Unmarshal([]byte(run(t, tollgate, test.claims, 0, append(args, "--json")...)), &e); err != nil || len(e.Outcomes) != 1 {
				t.Errorf("%v: %+v", err, e)
			}
		})
	}
	for name, args := range map[string][]string{
		"no URL": {"GET"}, "no scheme": {"GET", "edge.test/pay"}, "another scheme": {"GET", "ftp://edge.test/"}, "no port of ours": {"GET", "http://edge.test:8443/"},
		"no address": {"GET", "https://edge.test/", "--address", "x"}, "no field": {"GET", "https://edge.test/", "--header", "x"}, "no claims": {"GET", "https://edge.test/", "--claims", "none"},
		"no flag": {"GET", "https://edge.test/", "--nonsense"}, "no algorithm": {"GET", "https://edge.test/", "--alg", "bogus"}, "no algorithm of a token": {"GET", "https://edge.test/", "--claims", "-", "--alg", "es256"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, tollgate, "{}", 2, append([]string{"policy", "explain", "--config", config}, args...)...)
		})
	}
}

// run gives the output of a command that has to end with this code.
func run(t *testing.T, command, input string, code int, args ...string) string {
	t.Helper()
	cmd := exec.Command(command, args...)
	cmd.Stdin = strings.NewReader(input)
	var out, says bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &says
	err := cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Fatalf("exit code %d, want %d: %v\n%s%s", got, code, err, &out, &says)
	}
	return out.String()
}
