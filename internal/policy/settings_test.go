package policy

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// everySetting is a configuration with all members that there are: TestEverySettingIsThere,
// which knows the structs, holds it to that.
func everySetting(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/every-setting.json")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// change is one thing that is other than in everySetting.
type change struct{ name, text string }

// changes makes every one of them: each value another one, each element and each member
// gone, each list longer.
func changes(t *testing.T, text []byte) (all []change) {
	t.Helper()
	var root any
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	add := func(at, how string) { all = append(all, change{at + " " + how, compact(root)}) }
	var visit func(at string, value any, set func(any))
	visit = func(at string, value any, set func(any)) {
		other := func(how string, instead any) { set(instead); add(at, how); set(value) }
		switch value := value.(type) {
		case map[string]any:
			for _, name := range slices.Sorted(maps.Keys(value)) {
				member := value[name]
				visit(at+"/"+name, member, func(v any) { value[name] = v })
				delete(value, name)
				add(at+"/"+name, "gone")
				value[name] = member
			}
		case []any:
			for n, element := range value {
				visit(fmt.Sprintf("%s/%d", at, n), element, func(v any) { value[n] = v })
				other(fmt.Sprintf("without %d", n), slices.Delete(slices.Clone(value), n, n+1))
			}
			if len(value) > 0 {
				if _, isText := value[0].(string); isText {
					other("and more", append(slices.Clone(value), "more"))
				}
			}
		case string:
			other("another", value+"x")
			other("empty", "")
		case float64:
			other("more", value*2+1)
			other("less", float64(int(value/2)))
		case bool:
			other("turned", !value)
		}
	}
	before := compact(root)
	visit("", root, func(any) {})
	if compact(root) != before {
		t.Fatal("a change was not taken back, and is in all that follow")
	}
	return all
}

// equal are changes that mean nothing, by what their name begins with.
var equal = []string{
	"/apps/tollgate/reload_guard/allow",                                      // names policies, and is none
	"/apps/http/servers/edge/errors", "/apps/http/servers/edge/named_routes", // empty lists of routes
	// What is left out is what was there:
	"/admin/disabled gone", "/admin/listen gone", "/admin/listen empty", "/admin/remote/listen gone", "/admin/remote/listen empty",
	"/apps/tollgate/reload_guard/off gone", "/apps/tollgate/reload_guard/allow_moved gone", "/apps/tollgate/failures/off gone", "/apps/tollgate/revocations/stale gone", "/apps/tollgate/revocations/stale empty",
	"/apps/http/servers/edge/strict_sni_host gone",
	"/apps/http/servers/edge/tls_connection_policies/0/protocol_min gone", "/apps/http/servers/edge/tls_connection_policies/0/protocol_min empty",
	"/apps/http/servers/edge/tls_connection_policies/0/client_authentication/mode gone", "/apps/http/servers/edge/tls_connection_policies/0/client_authentication/mode empty",
}

// equalInside are those of what APIs have, after the place of the APIs.
var equalInside = []string{
	// What is left out is what was there, or what is there does not load:
	"1/handle/0/methods and more", "1/handle/0/websocket gone", "2/handle/0/public", "1/handle/0/routes/1/handle/0/mtls gone",
	"1/handle/0/routes/2/handle/0/rate_limits/paced/empty_key empty", "1/handle/0/routes/2/handle/0/rate_limits/paced/empty_key gone",
	"1/handle/0/routes/2/handle/0/rate_limits/paced/on_failure", "1/handle/0/routes/2/handle/0/rate_limits/paced/shadow gone",
	"1/handle/0/routes/2/handle/0/rate_limits/paced/match/0/method and more", "1/match/0/path and more", "2/match/0/path and more",
	// The issuer has one audience, and is the only one; DPoP binds every token; a text beside a key counts the same apart:
	"1/handle/0/routes/0/handle/0/audiences", "1/handle/0/routes/0/handle/0/issuers", "1/handle/0/profile", "1/handle/0/routes/1/handle/0/sender_constrained",
	"1/handle/0/routes/2/handle/0/rate_limits/daily/key another", "1/handle/0/routes/2/handle/0/rate_limits/paced/key another",
	// How an answer is packed:
	"1/handle/0/routes/5/handle", "1/handle/0/routes without 5",
}

func isEqual(name string) bool {
	begins := func(prefix string) bool { return strings.HasPrefix(name, prefix) }
	rest, isRoute := strings.CutPrefix(name, "/apps/http/servers/edge/routes/")
	return slices.ContainsFunc(equal, begins) || isRoute && slices.ContainsFunc(equalInside, func(prefix string) bool { return strings.HasPrefix(rest, prefix) })
}

// passed gives the changes that diff does not see, one way or the other, or sees as
// narrowed both ways; and those that it sees and the hash does not.
func passed(t *testing.T, text []byte, all []change) (unseen, unnamed []string) {
	t.Helper()
	base, now := parsed(t, string(text)), time.Unix(1e9, 0)
	over, cancel := context.WithCancel(t.Context())
	cancel() // requests are asked only about what the settings do not show: there are many of them
	for _, c := range all {
		other, err := Parse([]byte(c.text))
		if err != nil {
			continue // does not load
		}
		seen := func(forth, back *DiffResult) bool {
			wider := forth.Has(Widened) || forth.Has(Moved) || back.Has(Widened) || back.Has(Moved)
			return len(forth.Changes) > 0 && len(back.Changes) > 0 && wider
		}
		if !seen(DiffWithin(over, base, other, now, 1), DiffWithin(over, other, base, now, 1)) && !seen(Diff(base, other, now), Diff(other, base, now)) {
			unseen = append(unseen, c.name)
		} else if base.Hash == other.Hash {
			unnamed = append(unnamed, c.name)
		}
	}
	return unseen, unnamed
}

// TestNoSettingIsPassedOver changes every setting there is, one by one.
func TestNoSettingIsPassedOver(t *testing.T) {
	t.Parallel()
	text := everySetting(t)
	all := changes(t, text)
	unseen, unnamed := passed(t, text, all)
	if unseen = slices.DeleteFunc(unseen, isEqual); len(unseen) > 0 {
		t.Errorf("%d of %d changes are called equal:\n%s", len(unseen), len(all), strings.Join(unseen, "\n"))
	}
	unnamed = slices.DeleteFunc(unnamed, func(name string) bool {
		return strings.HasPrefix(name, "/logging") || strings.HasPrefix(name, "/storage") // Caddy shows neither to an edge that runs
	})
	if len(unnamed) > 0 {
		t.Errorf("%d of %d changes have the same hash:\n%s", len(unnamed), len(all), strings.Join(unnamed, "\n"))
	}
}

// TestARuleThatSaysNothingIsFound plants rules that claim a setting and tell nothing of
// it. It does not run beside others: the rules are all tests'.
func TestARuleThatSaysNothingIsFound(t *testing.T) {
	text := everySetting(t)
	for name, rules := range map[string]byName{"/apps/tollgate/failures": tollgateRules, "/apps/tollgate/assertion": tollgateRules,
		"/apps/tollgate/issuers/0/introspection": issuerRules, "/apps/tollgate/issuers/0/leeway": issuerRules,
		"/apps/http/servers/edge/trusted_proxies_strict": serverRules, "/apps/http/servers/edge/tls_connection_policies": serverRules} {
		member := name[strings.LastIndexByte(name, '/')+1:]
		before, known := rules[member]
		rules[member] = shown
		all := slices.DeleteFunc(changes(t, text), func(c change) bool { return !strings.HasPrefix(c.name, name) })
		if unseen, _ := passed(t, text, all); len(slices.DeleteFunc(unseen, isEqual)) == 0 {
			t.Errorf("%s: nobody noticed", name)
		}
		if rules[member] = before; !known {
			delete(rules, member)
		}
	}
}

// TestSettingsHaveDirections has changes of which it is certain which side is wider.
func TestSettingsHaveDirections(t *testing.T) {
	t.Parallel()
	base := string(everySetting(t))
	for name, test := range map[string]struct{ from, to string }{ // to is wider
		"leeway":                {`"leeway": 5000000000`, `"leeway": "6s"`},
		"no leeway":             {`"leeway": 5000000000,`, `"leeway": 60000000000,`},
		"answers unsigned":      {`"signed": true`, `"signed": false`},
		"answers for longer":    {`"ttl": 20000000000`, `"ttl": 0`},
		"nonces for longer":     {`"nonce_period": 60000000000`, `"nonce_period": "5m"`},
		"more failures":         {`"burst": 100,`, `"burst": 101,`},
		"default failures":      {`"burst": 100,`, ``},
		"failures more often":   {`"interval": 100000000`, `"interval": "10ms"`},
		"revocations unknown":   {`"max_age": 30000000000}`, `"max_age": 60000000000}`},
		"records gone sooner":   {`"keep": 864000000000000`, `"keep": "1d"`},
		"records gone some day": {`"stdout": true`, `"stdout": false`},
		"fewer nodes":           {`"nodes": 3`, `"nodes": 2`},
		"moves unnamed":         {`"allow_moved": false`, `"allow_moved": true`},
		"a baseline less":       {`, "baseline": "/etc/baseline"`, ``},
		"no guard":              {`"reload_guard": {"off": false,`, `"reload_guard": {"off": true,`},
		"one header more":       {`"proxies": ["10.0.0.1", "10.0.0.2"]`, `"proxies": ["10.0.0.1", "10.0.0.2", "10.0.0.3"]`},
		"slower requests":       {`"read_timeout": 30000000000,`, ``},
		"slower fields":         {`"read_header_timeout": 5000000000`, `"read_header_timeout": 0`},
		"slower answers":        {`"write_min_rate": 100`, `"write_min_rate": 99`},
		"idle for longer":       {`"idle_timeout": 60000000000`, `"idle_timeout": "6m"`},
		"longer fields":         {`"max_header_bytes": 8192,`, ``},
		"other names":           {`"strict_sni_host": true`, `"strict_sni_host": false`},
		"one protocol more":     {`"protocols": ["h1", "h2"],`, `"protocols": ["h2", "h1", "h3"],`},
		"all protocols":         {`"protocols": ["h1", "h2"],`, ``},
		"early data":            {`"allow_0rtt": false,`, ``},
		"no access log": {`"logs": {
						"default_logger_name": "edge",
						"logger_names": {"edge.test": ["edge"]},
						"skip_hosts": ["health.test"],
						"skip_unmapped_hosts": false,
						"should_log_credentials": false,
						"trace": false
					},`, ``},
		"older TLS":                 {`"protocol_min": "tls1.2"`, `"protocol_min": "tls1.1"`},
		"unverified certificates":   {`"mode": "require_and_verify"`, `"mode": "require"`},
		"callers without":           {`"mode": "require_and_verify"`, `"mode": "verify_if_given"`},
		"more of a body":            {`"max_size": 65536, `, `"max_size": 65537, `},
		"all of a body":             {`"max_size": 65536, `, ``},
		"admin from anywhere":       {`"listen": "localhost:2019"`, `"listen": "0.0.0.0:2019"`},
		"admin for one more":        {`"origins": ["localhost:2019", "127.0.0.1:2019"]`, `"origins": ["localhost:2019", "127.0.0.1:2019", "evil.test"]`},
		"admin for no one's origin": {`"enforce_origin": true`, `"enforce_origin": false`},
		"a field that is let in":    {`"strip": ["X-Level"]`, `"strip": []`},
		"audit not required":        {`"audit": "required"`, `"audit": "on"`},
		"websocket":                 {`"websocket": false`, `"websocket": true`},
	} {
		other := strings.Replace(base, test.from, test.to, 1)
		if other == base {
			t.Fatalf("%s: nothing is changed", name)
		}
		narrow, wide := parsed(t, base), parsed(t, other)
		if d := Diff(narrow, wide, time.Unix(1e9, 0)); len(d.Changes) == 0 || d.Has(Narrowed) || d.Has(Moved) {
			t.Errorf("%s: %s", name, compact(d.Changes))
		}
		if d := Diff(wide, narrow, time.Unix(1e9, 0)); len(d.Changes) == 0 || d.Has(Widened) || d.Has(Moved) {
			t.Errorf("%s, back: %s", name, compact(d.Changes))
		}
	}
}

// TestNoChangeHidesAnother has two changes in one file: both are told.
func TestNoChangeHidesAnother(t *testing.T) {
	t.Parallel()
	base := string(everySetting(t))
	for name, test := range map[string]struct {
		replace []string
		want    []string // direction and place
	}{
		"TLS": {[]string{`"protocol_min": "tls1.2"`, `"protocol_min": "tls1.3"`, `"cipher_suites": ["`, `"cipher_suites": ["X`, `"/etc/ca.pem"`, `"/etc/all.pem"`},
			[]string{"narrowed /protocol_min", "widened /cipher_suites/0", "widened /client_authentication/ca/pem_files/0"}},
		"client certificates": {[]string{`"mode": "require_and_verify"`, `"mode": "verify_if_given"`, `"verifier": "leaf"`, `"verifier": "other"`},
			[]string{"widened /client_authentication", "widened /client_authentication/verifiers/0/verifier"}},
		"certificates that nobody has verified": {[]string{`"mode": "require_and_verify"`, `"mode": "require"`, `"max_age": 30000000000}`, `"max_age": 31000000000}`, `"stale": "closed"`, `"stale": "open"`},
			[]string{"widened /client_authentication", "widened /max_age", "widened /stale"}},
		"DPoP":     {[]string{`"nonce_key": "{env.NONCES}"`, `"nonce_key": ""`, `"nonce_period": 60000000000`, `"nonce_period": 30000000000`}, []string{"widened /nonce_key", "narrowed /nonce_period"}},
		"failures": {[]string{`"burst": 100`, `"burst": 1000`, `"interval": 100000000`, `"interval": 200000000`}, []string{"widened /burst", "narrowed /interval"}},
		"origins":  {[]string{`"origins": ["https://edge.test", "https://other.test"]`, `"origins": ["https://edge.test", "https://third.test"]`}, []string{"widened /origins", "narrowed /origins"}},
		"certificates in a header": {[]string{`"header": "Client-Cert", "encoding": "rfc9440", "proxies": ["10.0.0.1", "10.0.0.2"]`, `"header": "X-Cert", "encoding": "pem", "proxies": ["10.0.0.1"]`},
			[]string{"widened /header", "widened /encoding", "narrowed /proxies"}},
		"admin": {[]string{`"disabled": false`, `"disabled": true`, `"listen": ":2021"`, `"listen": ":2022"`, `"paths": ["/config"]`, `"paths": []`}, []string{"narrowed /admin", "widened /remote/listen", "widened /paths"}},
		"a name and the audit log": {[]string{`"name": "pay"`, `"name": "paid"`, `"audit": "required"`, `"audit": "off"`, `"strip": ["X-Level"]`, `"strip": []`},
			[]string{"widened /handle/0", "moved "}},
	} {
		after := base
		for n := 0; n < len(test.replace); n += 2 {
			changed := strings.Replace(after, test.replace[n], test.replace[n+1], 1)
			if changed == after {
				t.Fatalf("%s: %s is not there", name, test.replace[n])
			}
			after = changed
		}
		d := Diff(parsed(t, base), parsed(t, after), time.Unix(1e9, 0))
		for _, want := range test.want {
			direction, place, _ := strings.Cut(want, " ")
			if !slices.ContainsFunc(d.Changes, func(c *Change) bool {
				return string(c.Direction) == direction && strings.HasSuffix(c.Rule.At, place)
			}) {
				t.Errorf("%s: no %s in %s", name, want, compact(d.Changes))
			}
		}
	}
}

// TestZonesAreReadWhole: what a zone has that its comparison does not know counts as wider.
func TestZonesAreReadWhole(t *testing.T) {
	t.Parallel()
	base := string(everySetting(t))
	other := strings.Replace(base, `"empty_key": "deny",`, `"empty_key": "deny", "unheard_of": 1,`, 1)
	for _, d := range []*DiffResult{Diff(parsed(t, base), parsed(t, other), time.Unix(1e9, 0)), Diff(parsed(t, other), parsed(t, base), time.Unix(1e9, 0))} {
		if !d.Has(Widened) {
			t.Errorf("passed over: %s", compact(d.Changes))
		}
	}
}

// TestServersArePaired: a Caddyfile's servers are numbers, and another site shifts them.
func TestServersArePaired(t *testing.T) {
	t.Parallel()
	servers := func(text string) *Config { return parsed(t, `{"apps":{"http":{"servers":{`+text+`}}}}`) }
	old := servers(`"srv0":{"listen":["127.0.0.1:443"],"max_header_bytes":1},"srv1":{"listen":["10.0.0.1:443"],"max_header_bytes":2}`)
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"other names":    {`"a":{"listen":["10.0.0.1:443"],"max_header_bytes":2},"b":{"listen":["127.0.0.1:443"],"max_header_bytes":1}`, nil},
		"one in front":   {`"srv0":{"listen":["127.0.0.1:80"]},"srv1":{"listen":["127.0.0.1:443"],"max_header_bytes":1},"srv2":{"listen":["10.0.0.1:443"],"max_header_bytes":2}`, []string{"moved ", "widened /apps/http/servers/srv0"}}, // it answers where nobody did
		"one is gone":    {`"srv0":{"listen":["10.0.0.1:443"],"max_header_bytes":2}`, []string{"narrowed /apps/http/servers/srv0"}},
		"a setting":      {`"srv1":{"listen":["127.0.0.1:443"],"max_header_bytes":1},"srv0":{"listen":["10.0.0.1:443"],"max_header_bytes":3}`, []string{"widened /apps/http/servers/srv0/max_header_bytes"}},
		"one more":       {`"srv0":{"listen":["127.0.0.1:443","127.0.0.2:443"],"max_header_bytes":1},"srv1":{"listen":["10.0.0.1:443"],"max_header_bytes":2}`, []string{"widened /apps/http/servers/srv0/listen"}},
		"another socket": {`"srv0":{"listen":["udp/127.0.0.1:443"],"max_header_bytes":1},"srv1":{"listen":["10.0.0.1:443"],"max_header_bytes":2}`, []string{"narrowed /apps/http/servers/srv0/listen", "widened /apps/http/servers/srv0/listen"}},
	} {
		var got []string
		for _, c := range Diff(old, servers(test.text), time.Unix(1e9, 0)).Changes {
			got = append(got, string(c.Direction)+" "+c.Rule.At)
		}
		if slices.Sort(got); !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// TestSecretsAreNotTold: not in what is printed, and not in what somebody could try them on.
func TestSecretsAreNotTold(t *testing.T) {
	t.Parallel()
	config := func(secret string) string {
		return strings.ReplaceAll(`{"admin":{"config":{"load":{"module":"http","url":"https://u:SECRET@h/?token=SECRET","header":{"Authorization":["Bearer SECRET"]}}}},
			"storage":{"module":"redis","password":"SECRET","encryption_key":"SECRET","address":["h:1"]},"logging":{"logs":{"default":{"writer":{"output":"net","address":"tcp://u:SECRET@h"}}}},
			"apps":{"tollgate":{"redis":"rediss://u:SECRET@h:6379/?master_name=m&password=SECRET","issuers":[{"url":"https://i","introspection":{"client_secret":"SECRET"}}]},
			"tls":{"certificates":{"load_pem":[{"certificate":"c","key":"-----BEGIN EC PRIVATE KEY-----SECRET"}]},"automation":{"policies":[{"issuers":[
				{"module":"acme","external_account":{"key_id":"k","mac_key":"SECRET"},"challenges":{"dns":{"provider":{"name":"x","api_token":"SECRET","auth_token":"SECRET"}}}}]}]}},
			"layer4":{"servers":{"s":{"routes":[{"handle":[{"handler":"socks5","credentials":{"bob":"SECRET"}}]}]}}}}}`, "SECRET", secret)
	}
	one, two, other := parsed(t, config("hunter2")), parsed(t, config("swordfish")), parsed(t, "{}")
	if d := Diff(one, two, time.Unix(1e9, 0)); one.Hash != two.Hash || len(d.Changes) > 0 {
		t.Errorf("somebody can try passwords: %s", compact(d.Changes))
	}
	d := Diff(one, other, time.Unix(1e9, 0))
	back := Diff(other, one, time.Unix(1e9, 0))
	if text := compact([]any{d, back}); strings.Contains(text, "hunter2") || len(d.Changes) == 0 {
		t.Errorf("a password is told, or nothing is: %s", text)
	}
	for from, to := range map[string]string{"@h:6379": "@g:6379", "rediss": "redis", "h:1": "h:2", `"bob"`: `"eve"`, `"k"`: `"l"`, `"client_secret":"hunter2"`: `"client_secret":"{env.A}"`} {
		if d := Diff(one, parsed(t, strings.Replace(config("hunter2"), from, to, 1)), time.Unix(1e9, 0)); !d.Has(Widened) {
			t.Errorf("%s for %s is not seen: %s", to, from, compact(d.Changes))
		}
	}
}
