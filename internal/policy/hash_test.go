package policy

import (
	"strings"
	"testing"
)

func hashOf(t *testing.T, config string) string {
	t.Helper()
	hash, err := Hash([]byte(config))
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

// TestHashIsOfWhatDecides has pairs that are one policy, and pairs that are not.
func TestHashIsOfWhatDecides(t *testing.T) {
	t.Parallel()
	base := with(token+services, `"listen":[":443"]`, `"audiences":["a"]`, `"admin":{"listen":"localhost:2019"},`)
	option := func(text string) string { return strings.Replace(base, `"tollgate":{`, `"tollgate":{`+text+`,`, 1) }
	for name, config := range map[string]string{
		"white space":           strings.ReplaceAll(base, ":[", ": [\n\t"),
		"order of members":      strings.Replace(base, `"audit":{"dir":"/a"},"issuers":[{"url":"https://i","audiences":["a"]}]`, `"issuers":[{"audiences":["a"],"url":"https://i"}],"audit":{"dir":"/a"}`, 1),
		"admin by default":      strings.Replace(base, `"admin":{"listen":"localhost:2019"},`, "", 1),
		"admin as it is anyway": strings.Replace(base, `"localhost:2019"`, `"localhost:2019","enforce_origin":false,"disabled":false,"config":{"persist":true}`, 1),
		"an id":                 strings.Replace(base, `{"handler":"reverse_proxy"`, `{"@id":"x","handler":"reverse_proxy"`, 1),
		"storage":               strings.Replace(base, `"apps":{`, `"storage":{"module":"x"},"apps":{`, 1),
		"logging":               strings.Replace(base, `"apps":{`, `"logging":{},"apps":{`, 1),
		"an escape of a letter": strings.Replace(base, `"/a"`, `"/\u0061"`, 1),
	} {
		if config == base || hashOf(t, config) != hashOf(t, base) {
			t.Errorf("%s: is another policy", name)
		}
	}
	for name, config := range map[string]string{
		"a service":      strings.Replace(base, "127.0.0.1:1", "127.0.0.1:2", 1),
		"a listener":     strings.Replace(base, ":443", ":444", 1),
		"admin":          strings.Replace(base, "localhost:2019", "0.0.0.0:2019", 1),
		"no admin":       strings.Replace(base, `"listen":"localhost:2019"`, `"disabled":true`, 1),
		"remote admin":   strings.Replace(base, `"localhost:2019"`, `"localhost:2019","remote":{}`, 1),
		"no origins":     strings.Replace(base, `"localhost:2019"`, `"localhost:2019","origins":[]`, 1),
		"a loader":       strings.Replace(base, `"localhost:2019"`, `"localhost:2019","config":{"load":{"module":"http"}}`, 1),
		"an audience":    strings.Replace(base, `"audiences":["a"]`, `"audiences":["b"]`, 1),
		"order of lists": strings.Replace(base, token+services, services+","+strings.TrimSuffix(token, ","), 1),
		"redis":          option(`"redis":"redis://:secret@r"`),
		"a guard":        option(`"reload_guard":{}`),
		"another app":    strings.Replace(base, `"apps":{`, `"apps":{"tls":{"x":1},`, 1),
		"no origin":      strings.Replace(base, `"localhost:2019"`, `"localhost:2019","origins":[]`, 1),
		"who else loads": strings.Replace(base, `"localhost:2019"`, `"localhost:2019","config":{"load":{"module":"http"}}`, 1),
	} {
		if config == base || hashOf(t, config) == hashOf(t, base) {
			t.Errorf("%s: is the same policy", name)
		}
	}
	if hashOf(t, option(`"redis":"redis://:one@r"`)) != hashOf(t, option(`"redis":"redis://:two@r"`)) {
		t.Error("the hash tells a password")
	}
	if hashOf(t, option(`"reload_guard":{"allow":["0123"]}`)) != hashOf(t, option(`"reload_guard":{}`)) {
		t.Error("a policy that is named is another one")
	}
	// What is on beside an admin API that is off is compared as well.
	off := func(more string) string {
		return strings.Replace(base, `"listen":"localhost:2019"`, `"disabled":true`+more, 1)
	}
	access := func(permission string) string {
		return off(`,"remote":{"access_control":[{"public_keys":["a"],"permissions":[` + permission + `]}]}`)
	}
	pairs := [][2]string{
		{off(""), off(`,"remote":{}`)}, {off(`,"remote":{}`), off(`,"remote":{"listen":":1"}`)}, {off(""), off(`,"config":{"load":{"module":"http"}}`)},
		{access(`{"paths":[]}`), access(`{}`)}, {access(`{"paths":["/a"],"methods":[]}`), access(`{"paths":["/a"]}`)},
	}
	for _, pair := range pairs {
		if hashOf(t, pair[0]) == hashOf(t, pair[1]) {
			t.Errorf("one policy: %s\n%s", pair[0], pair[1])
		}
	}
	if hashOf(t, off("")) != hashOf(t, off(`,"listen":"x"`)) || hashOf(t, access(`{"@id":"x"}`)) != hashOf(t, access(`{}`)) {
		t.Error("where it would listen, or an id, is another policy")
	}
	if hashOf(t, option(`"redis":"off"`)) == hashOf(t, option(`"redis":"redis://r"`)) {
		t.Error("off and on are one")
	}
}

// TestDiffSeesSettings changes what no request shows, there and back.
func TestDiffSeesSettings(t *testing.T) {
	t.Parallel()
	base := with(`{"handle":[{"handler":"api","name":"pay","audit":"required","strip":["X-Level"],"routes":[`+token+services+`]}]}`,
		`"listen":["127.0.0.1:443"],"strict_sni_host":true,"tls_connection_policies":[{}],"trusted_proxies":{"source":"static","ranges":["10.0.0.0/8"]}`,
		`"audiences":["a"],"jwks_uri":"https://i/keys"`, `"admin":{"listen":"localhost:2019","enforce_origin":true},`)
	option := func(text string) func(string) string {
		return func(c string) string { return strings.Replace(c, `"tollgate":{`, `"tollgate":{`+text+`,`, 1) }
	}
	replace := func(a, b string) func(string) string {
		return func(c string) string { return strings.Replace(c, a, b, 1) }
	}
	with := func(text string, change func(string) string) [2]string {
		b := option(text)(base)
		return [2]string{b, change(b)}
	}
	plainly := func(change func(string) string) [2]string { return [2]string{base, change(base)} }
	remotely := func(text string) string {
		return replace(`"listen":"localhost:2019","enforce_origin":true`, `"disabled":true,"remote":{`+text+`}`)(base)
	}
	for name, test := range map[string]struct {
		pair [2]string
		back Direction
	}{
		"the guard is gone":        {with(`"reload_guard":{}`, replace(`"reload_guard":{},`, "")), Narrowed},
		"the guard is off":         {with(`"reload_guard":{}`, replace(`"reload_guard":{}`, `"reload_guard":{"off":true}`)), Narrowed},
		"no audit log":             {plainly(replace(`"audit":{"dir":"/a"},`, "")), Narrowed},
		"admin elsewhere":          {plainly(replace("localhost:2019", ":2019")), Narrowed},
		"admin for others":         {plainly(replace(`"enforce_origin":true`, `"enforce_origin":true,"origins":["localhost:2019","[::1]:2019","127.0.0.1:2019","evil.test"]`)), Narrowed},
		"admin unchecked":          {plainly(replace(`,"enforce_origin":true`, "")), Narrowed},
		"moves are let in":         {with(`"reload_guard":{}`, replace(`"reload_guard":{}`, `"reload_guard":{"allow_moved":true}`)), Narrowed},
		"starts with anything":     {with(`"reload_guard":{"baseline":"/a"}`, replace(`"baseline":"/a"`, "")), Narrowed},
		"starts with another":      {with(`"reload_guard":{"baseline":"/a"}`, replace(`"/a"`, `"/b"`)), Widened},
		"no origin is some":        {[2]string{replace(`"enforce_origin":true`, `"enforce_origin":true,"origins":[]`)(base), base}, Narrowed},
		"a loader":                 {plainly(replace(`"enforce_origin":true`, `"enforce_origin":true,"config":{"load":{"module":"http"}}`)), Narrowed},
		"remote by others":         {[2]string{remotely(""), remotely(`"listen":"x"`)}, Widened},
		"remote admin":             {plainly(replace(`"enforce_origin":true`, `"enforce_origin":true,"remote":{}`)), Narrowed},
		"keys of somebody else":    {plainly(replace("https://i/keys", "https://evil/keys")), Widened},
		"leeway":                   {plainly(replace(`"jwks_uri"`, `"leeway":60000000000,"jwks_uri"`)), Narrowed},
		"each node for itself":     {with(`"redis":"redis://r"`, replace(`"redis":"redis://r",`, "")), Narrowed},
		"failures off":             {plainly(option(`"failures":{"off":true}`)), Narrowed},
		"stale open":               {plainly(option(`"revocations":{"stale":"open"}`)), Narrowed},
		"certificates in a header": {plainly(option(`"client_certificate":{"header":"C","proxies":["10.0.0.1"]}`)), Narrowed},
		"one proxy more":           {with(`"client_certificate":{"header":"C","proxies":["10.0.0.1"]}`, replace(`"10.0.0.1"`, `"10.0.0.1","10.0.0.2"`)), Narrowed},
		"another header":           {with(`"client_certificate":{"header":"C","proxies":[]}`, replace(`"header":"C"`, `"header":"D"`)), Widened},
		"an origin":                {plainly(option(`"origins":["https://other"]`)), Narrowed},
		"nonces no more":           {with(`"dpop":{"nonce_key":"generated"}`, replace(`"dpop":{"nonce_key":"generated"},`, "")), Narrowed},
		"audit not required":       {plainly(replace(`"audit":"required",`, "")), Narrowed},
		"audit off":                {plainly(replace(`"audit":"required"`, `"audit":"off"`)), Narrowed},
		"websocket":                {plainly(replace(`"audit":"required"`, `"audit":"required","websocket":true`)), Narrowed},
		"a field is let in":        {plainly(replace(`"strip":["X-Level"],`, "")), ""},
		"sni":                      {plainly(replace(`"strict_sni_host":true,`, "")), Narrowed},
		"another proxy":            {plainly(replace("10.0.0.0/8", "0.0.0.0/0")), Widened},
		"TLS is another":           {plainly(replace(`"tls_connection_policies":[{}]`, `"tls_connection_policies":[{"protocol_min":"tls1.0"}]`)), Narrowed},
		"no TLS":                   {plainly(replace(`"tls_connection_policies":[{}]`, `"automatic_https":{"disable":true}`)), Widened}, // else Caddy adds it; no rule knows all of automatic_https
		"all interfaces":           {plainly(replace(`["127.0.0.1:443"]`, `["127.0.0.1:443",":443"]`)), Narrowed},
		"what nobody knows":        {plainly(option(`"something":1`)), Widened},
	} {
		var models [2]*Config
		for n, text := range test.pair {
			var err error
			if models[n], err = Parse([]byte(text)); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if d := Diff(models[0], models[1], moment(float64(1e9))); !d.Has(Widened) {
			t.Errorf("%s: not found to be wider: %+v", name, d.Changes)
		}
		d := Diff(models[1], models[0], moment(float64(1e9)))
		if test.back != "" && !d.Has(test.back) || test.back == Narrowed && d.Has(Widened) {
			t.Errorf("%s: back, want %q: %+v", name, test.back, d.Changes)
		}
	}
}

// TestAllowNamesWhatIsLoaded holds the hashes that are given out to those of the
// configurations that somebody writes who follows them.
func TestAllowNamesWhatIsLoaded(t *testing.T) {
	t.Parallel()
	with := func(app string) string { return `{"apps":{` + app + `}}` }
	for name, c := range map[string][3]string{ // as it is, with the guard on, and off
		"no app":    {with(``), with(`"tollgate":{"reload_guard":{"allow":["1"]}}`), with(`"tollgate":{"reload_guard":{"off":true,"allow":["1"]}}`)},
		"no guard":  {with(`"tollgate":{"leeway":1}`), with(`"tollgate":{"leeway":1,"reload_guard":{}}`), with(`"tollgate":{"leeway":1,"reload_guard":{"off":true}}`)},
		"off":       {with(`"tollgate":{"reload_guard":{"off":true,"allow":["2"]}}`), with(`"tollgate":{"reload_guard":{}}`), with(`"tollgate":{"reload_guard":{"off":true}}`)},
		"an option": {with(`"tollgate":{"reload_guard":{"off":true,"baseline":"b"}}`), with(`"tollgate":{"reload_guard":{"baseline":"b"}}`), with(`"tollgate":{"reload_guard":{"off":true,"baseline":"b"}}`)},
		"null":      {with(`"tollgate":{"reload_guard":null}`), with(`"tollgate":{"reload_guard":{}}`), with(`"tollgate":{"reload_guard":{"off":true}}`)},
	} {
		config, err := Parse([]byte(c[0]))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := config.Allow(), (Allow{Guarded: hashOf(t, c[1]), Off: hashOf(t, c[2])}); got != want {
			t.Errorf("%s: %v, and %v is loaded", name, got, want)
		}
		if config.Hash != hashOf(t, c[0]) {
			t.Errorf("%s: the configuration itself was changed", name)
		}
	}
	on := with(`"tollgate":{"reload_guard":{"allow_moved":true}}`)
	if config, err := Parse([]byte(on)); err != nil || config.Allow() != (Allow{Guarded: hashOf(t, on)}) {
		t.Errorf("%v %v", config.Allow(), err)
	}
}
