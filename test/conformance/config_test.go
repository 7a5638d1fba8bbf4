package conformance

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// head is a sound beginning. In the cases below, the line that must be named in the
// error ends in "#!".
const head = `{
	admin off
	auto_https off
	tollgate {
		origin https://edge.test
		issuer https://issuer.test {
			audience https://edge.test/api
		}
	}
}
`

const asserted = `{
	admin off
	auto_https off
	tollgate {
		issuer https://issuer.test {
			audience own
		}
		assertion {
			issuer https://edge.test/assertions
		}
	}
}
`

const issuerless = `{
	admin off
	auto_https off
}
`

func TestConfigErrorsNameFileAndLine(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, config string
		want         []string
	}{
		{"neither token nor public", head + ":80 {\n api pay { #!\n respond ok\n }\n}", []string{"pay", "access_token", "public"}},
		{"api without a block", head + ":80 {\n api pay #!\n}", []string{"pay", "access_token"}},
		{"token and public", head + ":80 {\n api pay {\n public\n access_token #!\n }\n}", []string{"pay", "public"}},
		{"token deep in a public api", head + ":80 {\n api pay {\n public\n handle /x {\n access_token #!\n }\n }\n}", []string{"public"}},
		{"token only deep inside", head + ":80 {\n api pay { #!\n handle /x {\n access_token\n }\n }\n}", []string{"pay"}},
		{"token twice", head + ":80 {\n api pay {\n access_token\n access_token #!\n }\n}", []string{"twice"}},
		{"token again further in", head + ":80 {\n api pay {\n access_token\n handle /x {\n access_token #!\n }\n }\n}", []string{"pay", "twice"}},
		{"token with a matcher", head + ":80 {\n api pay {\n access_token /x #!\n }\n}", []string{"matcher", "/x"}},
		{"token outside", head + ":80 {\n access_token #!\n}", []string{"inside an api"}},
		{"unknown issuer", head + ":80 {\n api pay {\n access_token {\n issuer https://other.test #!\n }\n }\n}", []string{"unknown issuer", "https://other.test"}},
		{"unknown audience", head + ":80 {\n api pay {\n access_token {\n audience https://other.test #!\n }\n }\n}", []string{"audience", "https://other.test"}},
		{"no issuer at all", issuerless + ":80 {\n api pay {\n access_token #!\n }\n}", []string{"no issuer"}},
		{"unknown option of access_token", head + ":80 {\n api pay {\n access_token {\n isuer x #!\n }\n }\n}", []string{"access_token", "isuer"}},
		{"require in a public api", head + ":80 {\n api pay {\n public\n require { #!\n scope a\n }\n }\n}", []string{"require", "public"}},
		{"require outside", head + ":80 {\n require { #!\n scope a\n }\n}", []string{"require", "inside an api"}},
		{"empty require", head + ":80 {\n api pay {\n access_token\n require { #!\n }\n }\n}", []string{"require", "empty"}},
		{"unknown option of require", head + ":80 {\n api pay {\n access_token\n require {\n scopes a #!\n }\n }\n}", []string{"require", "scopes"}},
		{"claim without value", head + ":80 {\n api pay {\n access_token\n require {\n claim acr #!\n }\n }\n}", nil},
		{"bad scope", head + ":80 {\n api pay {\n access_token\n require {\n scope \"a b\" #!\n }\n }\n}", []string{"a b"}},
		{"bad acr", head + ":80 {\n api pay {\n access_token\n require {\n acr \"a b\" #!\n }\n }\n}", []string{"a b"}},
		{"acr twice", head + ":80 {\n api pay {\n access_token\n require {\n acr a\n acr b #!\n }\n }\n}", []string{"acr", "twice"}},
		{"acr of nothing", head + ":80 {\n api pay {\n access_token\n require {\n acr #!\n }\n }\n}", nil},
		{"max_age of no duration", head + ":80 {\n api pay {\n access_token\n require {\n max_age soon #!\n }\n }\n}", []string{"max_age", "soon"}},
		{"max_age of half a second", head + ":80 {\n api pay {\n access_token\n require {\n max_age 500ms #!\n }\n }\n}", []string{"max_age", "500ms"}},
		{"max_age twice", head + ":80 {\n api pay {\n access_token\n require {\n max_age 1m\n max_age 2m #!\n }\n }\n}", []string{"max_age", "twice"}},
		{"bad type of details", head + ":80 {\n api pay {\n access_token\n require {\n authorization_details \"a b\" #!\n }\n }\n}", []string{"a b"}},
		{"argument of mtls", head + ":80 {\n api pay {\n access_token\n require {\n mtls yes #!\n }\n }\n}", nil},
		{"argument of dpop", head + ":80 {\n api pay {\n access_token\n require {\n dpop yes #!\n }\n }\n}", nil},
		{"nested api", head + ":80 {\n api pay {\n public\n handle {\n api inner { #!\n public\n }\n }\n }\n}", []string{"inside another", "pay"}},
		{"name in use", head + ":80 {\n api pay /a {\n public\n }\n api pay /b { #!\n public\n }\n}", []string{"pay", "in use"}},
		{"name in use on another site", head + ":80 {\n api pay {\n public\n }\n}\n:81 {\n api pay { #!\n public\n }\n}", []string{"in use"}},
		{"bad name", head + ":80 {\n api Pay! { #!\n public\n }\n}", []string{"Pay!"}},
		{"no name", head + ":80 {\n api { #!\n public\n }\n}", nil},
		{"not a path", head + ":80 {\n api pay /a b { #!\n public\n }\n}", []string{"is not a path"}},
		{"not a matcher", head + ":80 {\n api pay a { #!\n public\n }\n}", []string{"neither a path"}},
		{"unknown method", head + ":80 {\n api pay {\n public\n methods GET TRACE #!\n }\n}", []string{"methods", "TRACE"}},
		{"no method", head + ":80 {\n api pay {\n public\n methods #!\n }\n}", nil},
		{"argument of public", head + ":80 {\n api pay {\n public yes #!\n }\n}", nil},
		{"argument of websocket", head + ":80 {\n api pay {\n public\n websocket yes #!\n }\n}", nil},
		{"strip without a name", head + ":80 {\n api pay {\n public\n strip #!\n }\n}", nil},
		{"strip of no header", head + ":80 {\n api pay {\n public\n strip X-Tenant X-* #!\n }\n}", []string{"strip", "X-*"}},
		{"unknown directive inside", head + ":80 {\n api pay {\n public\n acess_token #!\n }\n}", []string{"acess_token"}},
		{"unknown global option", "{\n tollgate {\n rediss x #!\n }\n}", []string{"tollgate", "rediss"}},
		{"unknown issuer option", "{\n tollgate {\n issuer https://i.test {\n audience a\n audiences b #!\n }\n }\n}", []string{"audiences"}},
		{"issuer without audience", "{\n tollgate {\n issuer https://i.test #!\n }\n}", []string{"https://i.test", "audience"}},
		{"issuer twice", "{\n tollgate {\n issuer https://i.test {\n audience a\n }\n issuer https://i.test { #!\n audience b\n }\n }\n}", []string{"twice"}},
		{"issuer in clear", "{\n tollgate {\n issuer http://i.test { #!\n audience a\n }\n }\n}", []string{"http://i.test"}},
		{"key set in clear", "{\n tollgate {\n issuer https://i.test { #!\n audience a\n jwks_uri http://i.test/k\n }\n }\n}", []string{"http://i.test/k"}},
		{"bad duration", "{\n tollgate {\n issuer https://i.test {\n audience a\n leeway soon #!\n }\n }\n}", []string{"leeway", "soon"}},
		{"leeway too long", "{\n tollgate {\n issuer https://i.test { #!\n audience a\n leeway 1h\n }\n }\n}", []string{"leeway"}},
		{"unknown algorithm", "{\n tollgate {\n issuer https://i.test {\n audience a\n algorithms ES256 HS256 #!\n }\n }\n}", []string{"algorithms", "HS256"}},
		{"bad origin", "{\n tollgate {\n origin https://edge.test/path #!\n }\n}", []string{"origin", "https://edge.test/path"}},
		{"bad redis", "{\n tollgate {\n redis http://user:canary@host #!\n }\n}", []string{"redis"}},
		{"certificate of nobody", "{\n tollgate {\n client_certificate header Client-Cert rfc9440 #!\n }\n}", []string{"client_certificate", "from"}},
		{"certificate in no header", "{\n tollgate {\n client_certificate header a:b rfc9440 from 10.0.0.1 #!\n }\n}", []string{"client_certificate", "a:b"}},
		{"certificate in an unknown encoding", "{\n tollgate {\n client_certificate header Client-Cert der from 10.0.0.1 #!\n }\n}", []string{"der"}},
		{"certificate from no address", "{\n tollgate {\n client_certificate header Client-Cert pem from proxy #!\n }\n}", []string{"client_certificate", "proxy"}},
		{"certificate twice", "{\n tollgate {\n client_certificate header Client-Cert pem from ::1\n client_certificate header Client-Cert pem from ::1 #!\n }\n}", []string{"twice"}},
		{"failures of an unknown kind", "{\n tollgate {\n failures on #!\n }\n}", []string{"failures", "on"}},
		{"failures twice", "{\n tollgate {\n failures off\n failures off #!\n }\n}", []string{"twice"}},
		{"no burst of failures", "{\n tollgate {\n failures {\n burst 0 #!\n }\n }\n}", []string{"burst"}},
		{"interval of failures", "{\n tollgate {\n failures {\n interval 1h #!\n }\n }\n}", []string{"interval", "1h"}},
		{"unknown option of failures", "{\n tollgate {\n failures {\n limit 1 #!\n }\n }\n}", []string{"failures", "limit"}},
		{"revocations of an unknown policy", "{\n tollgate {\n revocations {\n stale ajar #!\n }\n }\n}", []string{"revocations", "closed"}},
		{"revocations too old", "{\n tollgate {\n revocations {\n max_age 1h #!\n }\n }\n}", []string{"revocations", "five minutes"}},
		{"unknown option of revocations", "{\n tollgate {\n revocations {\n age 1m #!\n }\n }\n}", []string{"revocations", "age"}},
		{"revocations twice", "{\n tollgate {\n revocations {\n }\n revocations { #!\n }\n }\n}", []string{"twice"}},
		{"redis with a blank", "{\n tollgate {\n redis redis://user:canary canary@host #!\n }\n}", []string{"redis takes one URL"}},
		{"key set with a blank", "{\n tollgate {\n issuer https://i.test {\n audience a\n jwks_uri https://user:canary canary@i.test/k #!\n }\n }\n}", []string{"jwks_uri takes one URL"}},
		{"tollgate twice", "{\n tollgate {\n redis off\n }\n tollgate { #!\n redis off\n }\n}", []string{"twice"}},
		{"secret written out", "{\n tollgate {\n issuer https://i.test {\n audience a\n introspection {\n client_id edge\n client_secret canary #!\n }\n }\n }\n}", []string{"client_secret", "{env.NAME}"}},
		{"secret with a blank", "{\n tollgate {\n issuer https://i.test {\n audience a\n introspection {\n client_id edge\n client_secret canary canary #!\n }\n }\n }\n}", []string{"client_secret"}},
		{"introspection by nobody", "{\n tollgate {\n issuer https://i.test {\n audience a\n introspection { #!\n client_secret {env.S}\n }\n }\n }\n}", []string{"introspection", "client_id"}},
		{"introspection without credentials", "{\n tollgate {\n issuer https://i.test {\n audience a\n introspection { #!\n client_id edge\n }\n }\n }\n}", []string{"client_secret", "client_key"}},
		{"introspection with two credentials", "{\n tollgate {\n issuer https://i.test {\n audience a\n introspection { #!\n client_id edge\n client_secret {env.S}\n client_key k.json\n }\n }\n }\n}", []string{"client_secret", "client_key"}},
		{"introspection in clear", "{\n tollgate {\n issuer https://i.test {\n audience a\n introspection http://i.test/x { #!\n client_id edge\n client_secret {env.S}\n }\n }\n }\n}", []string{"http://i.test/x"}},
		{"answers held for an hour", "{\n tollgate {\n issuer https://i.test {\n audience a\n introspection { #!\n client_id edge\n client_secret {env.S}\n ttl 1h\n }\n }\n }\n}", []string{"introspection", "1h0m0s"}},
		{"answers held for no time", "{\n tollgate {\n issuer https://i.test {\n audience a\n introspection {\n client_id edge\n ttl soon #!\n }\n }\n }\n}", []string{"ttl", "soon"}},
		{"introspection twice", "{\n tollgate {\n issuer https://i.test {\n audience a\n introspection {\n client_id edge\n client_secret {env.S}\n }\n introspection { #!\n }\n }\n }\n}", []string{"introspection", "twice"}},
		{"unknown option of introspection", "{\n tollgate {\n issuer https://i.test {\n audience a\n introspection {\n secret canary #!\n }\n }\n }\n}", []string{"introspection", "secret"}},
		{"no keys and no introspection", "{\n tollgate {\n issuer https://i.test { #!\n audience a\n jwks_uri off\n }\n }\n}", []string{"jwks_uri off", "introspection"}},
		{"no keys for signed answers", "{\n tollgate {\n issuer https://i.test { #!\n audience a\n jwks_uri off\n introspection {\n client_id edge\n client_secret {env.S}\n signed\n }\n }\n }\n}", []string{"jwks_uri off", "signed"}},
		{"keys at two places", "{\n tollgate {\n issuer https://i.test { #!\n audience a\n jwks_uri https://i.test/k\n jwks_file k.json\n }\n }\n}", []string{"jwks_uri", "jwks_file"}},
		{"opaque tokens of two issuers", "{\n tollgate {\n issuer https://one.test {\n audience a\n introspection {\n client_id edge\n client_secret {env.S}\n }\n }\n issuer https://two.test {\n audience a\n introspection {\n client_id edge\n client_secret {env.S}\n }\n }\n }\n}\n:80 {\n api pay {\n access_token #!\n }\n}", []string{"access_token", "https://one.test", "https://two.test", "issuer <url>"}},
		{"dpop without an origin", "{\n tollgate {\n dpop { #!\n nonce_key generated\n }\n }\n}", []string{"dpop", "origin"}},
		{"dpop of nothing", "{\n tollgate {\n origin https://e.test\n dpop { #!\n }\n }\n}", []string{"nonce_key"}},
		{"nonce key written out", "{\n tollgate {\n dpop {\n nonce_key canary #!\n }\n }\n}", []string{"nonce_key", "{env.NAME}"}},
		{"nonce key with a blank", "{\n tollgate {\n dpop {\n nonce_key canary canary #!\n }\n }\n}", []string{"nonce_key"}},
		{"nonces of a second", "{\n tollgate {\n dpop {\n nonce_period 1s #!\n }\n }\n}", []string{"30s"}},
		{"a key of its own beside redis", "{\n tollgate {\n origin https://e.test\n redis redis://127.0.0.1:1\n dpop { #!\n nonce_key generated\n }\n }\n}", []string{"generated", "redis"}},
		{"dpop twice", "{\n tollgate {\n dpop {\n }\n dpop { #!\n }\n }\n}", []string{"twice"}},
		{"unknown option of dpop", "{\n tollgate {\n dpop {\n nonces on #!\n }\n }\n}", []string{"dpop", "nonces"}},
		{"unknown profile", "{\n tollgate {\n issuer https://i.test {\n audience a\n profile fapi1 #!\n }\n }\n}", []string{"profile", "fapi1"}},
		{"profile without origin", "{\n tollgate {\n issuer https://i.test {\n audience a\n profile fapi2 #!\n }\n }\n}", []string{"profile fapi2", "origin"}},
		{"profile with RS256", "{\n tollgate {\n origin https://e.test\n issuer https://i.test {\n audience a\n algorithms ES256 RS256\n profile fapi2 #!\n }\n }\n}", []string{"profile fapi2", "https://i.test", "RS256"}},
		{"profile in clear", "{\n tollgate {\n issuer https://i.test {\n audience a\n profile fapi2 #!\n }\n origin http://e.test\n }\n}", []string{"profile fapi2", "http://e.test"}},
		{"profile without revocations", "{\n tollgate {\n issuer https://i.test {\n audience a\n profile fapi2 #!\n }\n origin https://e.test\n }\n}", []string{"profile fapi2", "redis"}},
		{"profile with revocations that may be old", "{\n tollgate {\n redis redis://127.0.0.1:1\n issuer https://i.test {\n audience a\n profile fapi2 #!\n }\n origin https://e.test\n revocations {\n stale open\n }\n }\n}", []string{"profile fapi2", "stale open"}},
		{"profile of a public api", head + ":80 {\n api pay {\n public\n profile fapi2 #!\n }\n}", []string{"pay", "fapi2", "public"}},
		{"unknown profile of an api", head + ":80 {\n api pay {\n profile bank #!\n access_token\n }\n}", []string{"profile", "bank"}},
		{"profile of an api twice", head + ":80 {\n api pay {\n profile fapi2\n profile fapi2 #!\n access_token\n }\n}", []string{"profile", "twice"}},
		{"profile of an api without revocations", head + ":80 {\n api pay {\n profile fapi2 #!\n access_token\n }\n}", []string{"api pay", "profile fapi2", "redis"}},
		{"profile of an api with RS256", "{\n tollgate {\n redis redis://127.0.0.1:1\n origin https://e.test\n issuer https://strong.test {\n audience a\n }\n issuer https://weak.test {\n audience a\n algorithms RS256\n }\n }\n}\n:80 {\n api good {\n profile fapi2\n access_token {\n issuer https://strong.test\n }\n }\n api pay {\n profile fapi2 #!\n access_token\n }\n}", []string{"api pay", "https://weak.test", "RS256"}},
		{"constraint without origin", "{\n tollgate {\n issuer https://i.test {\n audience a\n }\n }\n}\n:80 {\n api pay {\n access_token\n require {\n sender_constrained #!\n }\n }\n}", []string{"sender_constrained", "origin"}},
		{"resource of no origin", head + ":80 {\n api pay {\n resource https://other.test/pay #!\n access_token\n }\n}", []string{"resource", "https://other.test/pay", "https://edge.test"}},
		{"resource of a pattern", head + ":80 {\n api pay {\n resource /pay/* #!\n access_token\n }\n}", []string{"resource", "/pay/*"}},
		{"resource without origin", "{\n tollgate {\n issuer https://i.test {\n audience a\n }\n }\n}\n:80 {\n api pay {\n access_token\n resource /pay #!\n }\n}", []string{"/pay", "origin"}},
		{"resource of a public api", head + ":80 {\n api pay {\n resource /pay #!\n public\n }\n}", []string{"resource", "public"}},
		{"resource of nothing", head + ":80 {\n api pay {\n resource #!\n access_token\n }\n}", nil},
		{"resource with too many words", head + ":80 {\n api pay {\n resource /pay The payments #!\n access_token\n }\n}", nil},
		{"two resources", head + ":80 {\n api pay {\n resource /a\n resource /b #!\n access_token\n }\n}", []string{"pay", "resource", "twice"}},
		{"resource in use", head + ":80 {\n api pay /a {\n resource /a\n access_token\n }\n}\n:81 {\n api other {\n resource https://edge.test/a #!\n access_token\n }\n}", []string{"https://edge.test/a", "twice", ":13"}},
		{"metadata in a protected api", head + ":80 {\n api pay {\n access_token\n resource_metadata #!\n }\n}", []string{"resource_metadata", "public"}},
		{"metadata outside", head + ":80 {\n resource_metadata #!\n}", []string{"resource_metadata", "in an api"}},
		{"metadata with arguments", head + ":80 {\n api m {\n public\n resource_metadata /x #!\n }\n}", []string{"resource_metadata", "/x"}},
		{"metadata with options", head + ":80 {\n api m {\n public\n resource_metadata {\n scopes a #!\n }\n }\n}", []string{"resource_metadata", "scopes"}},
		{"assertion without issuer", "{\n tollgate {\n assertion { #!\n }\n }\n}", []string{"assertion", "issuer"}},
		{"assertion by an issuer of tokens", "{\n tollgate {\n assertion { #!\n issuer https://i.test\n }\n issuer https://i.test {\n audience a\n }\n }\n}", []string{"assertion", "https://i.test"}},
		{"assertion by nobody in particular", "{\n tollgate {\n assertion { #!\n issuer edge\n }\n }\n}", []string{"assertion", "edge"}},
		{"assertion twice", "{\n tollgate {\n assertion {\n issuer https://e.test\n }\n assertion { #!\n }\n }\n}", []string{"assertion", "twice"}},
		{"unknown option of assertion", "{\n tollgate {\n assertion {\n keys a #!\n }\n }\n}", []string{"assertion", "keys"}},
		{"assertion without a file", "{\n tollgate {\n assertion {\n key_file #!\n }\n }\n}", nil},
		{"assertion that is not configured", head + ":80 {\n api pay {\n access_token\n identity_assertion pay #!\n }\n}", []string{"identity_assertion", "no assertion"}},
		{"assertion for the edge", asserted + ":80 {\n api pay {\n access_token\n identity_assertion own #!\n }\n}", []string{"identity_assertion", "own"}},
		{"assertion for nobody", asserted + ":80 {\n api pay {\n access_token\n identity_assertion #!\n }\n}", []string{"identity_assertion"}},
		{"assertion in a public api", asserted + ":80 {\n api pay {\n public\n identity_assertion pay #!\n }\n}", []string{"identity_assertion", "public"}},
		{"assertion for all beside another", asserted + ":80 {\n api pay {\n access_token\n @a path /a\n identity_assertion a #!\n identity_assertion @a b\n }\n}", []string{"api pay", "identity_assertion a", "identity_assertion b"}},
		{"two assertions for all", asserted + ":80 {\n api pay {\n access_token\n identity_assertion a\n identity_assertion b #!\n }\n}", []string{"api pay", "identity_assertion a", "identity_assertion b"}},
		{"two assertions further in", asserted + ":80 {\n api pay {\n access_token\n handle /x {\n @a path /x/a\n identity_assertion @a a\n identity_assertion b #!\n }\n }\n}", []string{"api pay", "identity_assertion b"}},
		{"assertion outside", asserted + ":80 {\n identity_assertion pay #!\n}", []string{"identity_assertion", "inside an api"}},
		{"keys of no assertion", head + ":80 {\n api keys {\n public\n assertion_keys #!\n }\n}", []string{"assertion_keys", "no assertion"}},
		{"keys in a protected api", asserted + ":80 {\n api keys {\n access_token\n assertion_keys #!\n }\n}", []string{"assertion_keys", "public"}},
		{"keys with arguments", asserted + ":80 {\n api keys {\n public\n assertion_keys /x #!\n }\n}", []string{"assertion_keys", "/x"}},
		{"dpop without origin", "{\n tollgate {\n issuer https://i.test {\n audience a\n }\n }\n}\n:80 {\n api pay {\n access_token\n require {\n dpop #!\n }\n }\n}", []string{"dpop", "origin"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := writeConfig(t, "Caddyfile", strings.ReplaceAll(test.config, " #!", ""))
			before, _, found := strings.Cut(test.config, "#!")
			if !found {
				t.Fatal("the case marks no line")
			}
			output, err := validate(path, "caddyfile")
			if err == nil {
				t.Fatalf("valid:\n%s", output)
			}
			for _, want := range append(test.want, fmt.Sprintf("%s:%d", path, strings.Count(before, "\n")+1)) {
				if !strings.Contains(output, want) {
					t.Errorf("nothing of %q in\n%s", want, output)
				}
			}
			if strings.Contains(output, "canary") {
				t.Errorf("a password in\n%s", output)
			}
		})
	}
}

// TestJSONConfigIsHeldToTheSame covers configurations that never were a Caddyfile.
func TestJSONConfigIsHeldToTheSame(t *testing.T) {
	t.Parallel()
	const token, respond = `{"handler":"access_token"}`, `{"handler":"static_response","body":"ok"}`
	tests := []struct{ name, api, want string }{
		{"nothing", `{"handler":"api","name":"pay"}`, "access_token"},
		{"answer first", `{"handler":"api","name":"pay","routes":[{"handle":[` + respond + `]},{"handle":[` + token + `]}]}`, "access_token"},
		{"conditional", `{"handler":"api","name":"pay","routes":[{"match":[{"path":["/x"]}],"handle":[` + token + `]}]}`, "access_token"},
		{"deep inside", `{"handler":"api","name":"pay","routes":[{"handle":[{"handler":"subroute","routes":[{"handle":[` + token + `]}]}]}]}`, "access_token"},
		{"token twice", `{"handler":"api","name":"pay","routes":[{"handle":[` + token + `,` + token + `]}]}`, "twice"},
		{"token again further in", `{"handler":"api","name":"pay","routes":[{"handle":[` + token + `]},{"match":[{"path":["/x"]}],"handle":[{"handler":"subroute","routes":[{"handle":[` + token + `]}]}]}]}`, "pay has access_token twice"},
		{"public with token", `{"handler":"api","name":"pay","public":true,"routes":[{"handle":[` + token + `]}]}`, "public"},
		{"nested", `{"handler":"api","name":"pay","public":true,"routes":[{"handle":[{"handler":"api","name":"inner","public":true}]}]}`, "inside another"},
		{"bad name", `{"handler":"api","name":"a b","public":true}`, "name"},
		{"unknown method", `{"handler":"api","name":"pay","public":true,"methods":["get"]}`, "get"},
		{"strip of no header", `{"handler":"api","name":"pay","public":true,"strip":["a b"]}`, "strip"},
		{"token outside", token, "inside an api"},
		{"unknown issuer", `{"handler":"api","name":"pay","routes":[{"handle":[{"handler":"access_token","issuers":["https://other.test"]}]}]}`, "unknown issuer"},
		{"empty require", `{"handler":"api","name":"pay","routes":[{"handle":[` + token + `,{"handler":"require"}]}]}`, "empty"},
		{"half a second of max_age", `{"handler":"api","name":"pay","routes":[{"handle":[` + token + `,{"handler":"require","max_age":1500000000}]}]}`, "max_age"},
		{"dpop without origin", `{"handler":"api","name":"pay","routes":[{"handle":[` + token + `,{"handler":"require","dpop":true}]}]}`, "origin"},
		{"bad acr", `{"handler":"api","name":"pay","routes":[{"handle":[` + token + `,{"handler":"require","acr":["a b"]}]}]}`, "acr"},
		{"unknown profile", `{"handler":"api","name":"pay","profile":"bank","routes":[{"handle":[` + token + `]}]}`, "bank"},
		{"public with a profile", `{"handler":"api","name":"pay","profile":"fapi2","public":true}`, "public"},
		{"profile without origin", `{"handler":"api","name":"pay","profile":"fapi2","routes":[{"handle":[` + token + `]}]}`, "origin"},
		{"resource without origin", `{"handler":"api","name":"pay","resource":"/pay","routes":[{"handle":[` + token + `]}]}`, "origin"},
		{"resource of a public api", `{"handler":"api","name":"pay","public":true,"resource":"/pay"}`, "public"},
		{"assertion of nobody", `{"handler":"api","name":"pay","routes":[{"handle":[` + token + `,{"handler":"identity_assertion","audience":"pay"}]}]}`, "no assertion"},
		{"assertion that is overruled", `{"handler":"api","name":"pay","routes":[{"handle":[` + token + `]},{"match":[{"path":["/x"]}],"handle":[{"handler":"identity_assertion","audience":"a"}]},{"handle":[{"handler":"identity_assertion","audience":"b"}]}]}`, "identity_assertion b"},
		{"keys of nobody", `{"handler":"api","name":"keys","public":true,"routes":[{"handle":[{"handler":"assertion_keys"}]}]}`, "no assertion"},
		{"metadata outside", `{"handler":"resource_metadata"}`, "in an api"},
		{"name in use", `{"handler":"api","name":"pay","public":true},{"handler":"api","name":"pay","public":true,"methods":["GET"]}`, "in use"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := writeConfig(t, "edge.json", `{"admin":{"disabled":true},"apps":{
				"tollgate":{"issuers":[{"url":"https://issuer.test","audiences":["a"]}]},
				"http":{"servers":{"s":{"listen":[":80"],"routes":[{"handle":[`+test.api+`]}]}}}}}`)
			output, err := validate(path, "")
			if err == nil {
				t.Fatalf("valid:\n%s", output)
			}
			if !strings.Contains(output, test.want) {
				t.Errorf("nothing of %q in\n%s", test.want, output)
			}
		})
	}
}

// TestShippedLimitsKnowTheIssuer: user ids and client ids are an issuer's own, and
// those of two issuers can be the same.
func TestShippedLimitsKnowTheIssuer(t *testing.T) {
	t.Parallel()
	adapted, err := exec.Command(binary, "adapt", "--config", filepath.Join(root, "Caddyfile"), "--adapter", "caddyfile").Output()
	if err != nil {
		t.Fatal(err)
	}
	keys := regexp.MustCompile(`"key":"([^"]*)"`).FindAllSubmatch(adapted, -1)
	if len(keys) == 0 {
		t.Fatal("no limit is found")
	}
	for _, key := range keys {
		if key := string(key[1]); strings.Contains(key, "http.auth.") && !strings.Contains(key, "{http.auth.token.iss}") {
			t.Errorf("a limit counts by %s", key)
		}
	}
}

// TestValidateConnectsToNothing has Redis, the issuer and all services down.
func TestValidateConnectsToNothing(t *testing.T) {
	t.Parallel()
	for _, redis := range []string{
		"redis://127.0.0.1:1", "rediss://user:secret@127.0.0.1:1/2?min_idle_conns=5", "unix:///nowhere.sock",
		"redis://127.0.0.1:1?master_name=m", "redis://127.0.0.1:1?addr=127.0.0.1:2", "redis://127.0.0.1:1?cluster=true",
	} {
		t.Run(redis, func(t *testing.T) {
			t.Parallel()
			output, err := validate(filepath.Join(root, "Caddyfile"), "caddyfile", "TOLLGATE_REDIS="+redis, "TOLLGATE_JWKS_URI=http://127.0.0.1:1/keys")
			if err != nil || !strings.Contains(output, "Valid configuration") {
				t.Fatalf("%v\n%s", err, output)
			}
			if strings.Contains(output, "out of reach") || strings.Contains(output, "not formatted") {
				t.Fatalf("unexpected:\n%s", output)
			}
		})
	}
}

// validate runs "tollgate validate"; no adapter is JSON.
func validate(config, adapter string, env ...string) (string, error) {
	command := exec.Command(binary, "validate", "--config", config, "--adapter", adapter)
	command.Env = append(command.Environ(), env...)
	output, err := command.CombinedOutput()
	return string(output), err
}
