package policy

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// TestMembersThatAreTakenForOthers has what Caddy reads as a field of another name, and what
// it reads one of: the model would judge a configuration that nobody runs.
func TestMembersThatAreTakenForOthers(t *testing.T) {
	t.Parallel()
	base := with(token+`{"match":[{"path":["/x"],"header":{"Accept":["a"]}}],"handle":[{"handler":"subroute","routes":[`+services+`]}]}`, `"listen":[":443"]`, `"audiences":["a"]`, `"admin":{"listen":"localhost:2019"},`)
	if err := CheckMembers([]byte(base)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"admin", "listen", "apps", "http", "tollgate", "issuers", "audiences", "servers", "routes", "match", "handle", "handler", "upstreams", "dial",
	} {
		if !strings.Contains(base, `"`+name+`":`) {
			t.Fatalf("%s is not there: %s", name, base)
		}
		others := []string{
			strings.ToUpper(name[:1]) + name[1:], strings.ToUpper(name), fmt.Sprintf(`\u00%02x`, name[0]-'a'+'A') + name[1:],
			strings.ReplaceAll(name, "s", "\u017f"), strings.ReplaceAll(name, "k", "\u212a"), // which fold to s and k
		}
		for _, other := range others {
			if other == name {
				continue
			}
			config := strings.Replace(base, `"`+name+`":`, `"`+other+`":`, 1)
			wantRefused(t, config, `could be taken for "`+name+`"`)
			beside := strings.Replace(base, `"`+name+`":`, `"`+other+`":null,"`+name+`":`, 1)
			wantRefused(t, beside, `could be taken for "`+name+`"`)
		}
		wantRefused(t, strings.Replace(base, `"`+name+`":`, `"`+name+`":null,"`+name+`":`, 1), `the member "`+name+`" is there twice`)
	}
	wantRefused(t, strings.Replace(base, `"Accept":["a"]`, `"Accept":["a"],"Accept":["b"]`, 1), `match/0/header: the member "Accept" is there twice`)
	wantRefused(t, `{"a":{"b":[{},{"c":1,"\u0063":2}]}}`, `/a/b/1: the member "c" is there twice`)
	wantRefused(t, `{"logging":{"logs":{"a":{"@id":"x\"","b":1}}}}`, `/logging/logs/a/@id: "x\"" has a quotation mark`)
	wantRefused(t, strings.Repeat("[", 20000)+strings.Repeat("]", 20000), "max depth")
	wantRefused(t, base+`{}`, "after top-level value")
}

func wantRefused(t *testing.T, config, want string) {
	t.Helper()
	for name, judge := range map[string]func([]byte) error{
		"names": CheckMembers,
		"hash":  func(c []byte) error { _, err := Hash(c); return err },
		"model": func(c []byte) error { _, err := Parse(c); return err },
	} {
		if err := judge([]byte(config)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q\n%.300s", name, err, want, config)
		}
	}
}

// TestNamesThatAreGiven has names that are no fields, in whatever letter case.
func TestNamesThatAreGiven(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]string{
		"a server, a route, a host": `{"apps":{"http":{"servers":{"Main":{"named_routes":{"Handle":{}},"logs":{"logger_names":{"API.test":["a"]}},"routes":[{"handle":[{"handler":"invoke","name":"Handle"}]}]}}}}}`,
		"fields":                    edge(`{"match":[{"header":{"Host":["a"]},"query":{"Match":["b"]},"vars":{"Path":["c"]},"not":[{"header_regexp":{"Handle":{"pattern":"x"}}}]}],"handle":[{"handler":"static_response","headers":{"Location":["/"]}}]}`),
		"fields that are set":       edge(`{"handle":[{"handler":"headers","request":{"set":{"Host":["a"]},"add":{"Handle":["b"]},"replace":{"Match":[{"search":"a"}]}},"response":{"require":{"headers":{"Server":["x"]}},"set":{"Via":["a"]}}}]}`),
		"fields at a proxy":         edge(`{"handle":[{"handler":"reverse_proxy","headers":{"request":{"set":{"Host":["a"]}}},"health_checks":{"active":{"headers":{"Host":["h"]}}},"handle_response":[{"match":{"headers":{"Location":["*"]}}}]}]}`),
		"variables":                 edge(`{"handle":[{"handler":"vars","Handle":"x","Routes":{"Match":1}}]}`),
		"claims":                    edge(`{"handle":[{"handler":"require","claims":{"Scopes":["a"]}}]}`),
		"zones":                     edge(`{"handle":[{"handler":"rate_limit","rate_limits":{"Key":{"key":"a"}}}]}`),
		"of somebody else":          edge(`{"match":[{"somebody_elses":{"Host":"a"}}],"handle":[{"handler":"somebody_elses","Configuration":{"LogLevel":"a"}}]}`),
		"another app":               `{"apps":{"somebody_elses":{"Handle":1,"Match":2},"tls":{"X":1}},"logging":{"logs":{"Main":{}}}}`,
	} {
		if err := CheckMembers([]byte(config)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, config := range map[string]string{
		"zones of the app":    `{"apps":{"tollgate":{"rate_limits":{"Nodes":1}}}}`,
		"headers of a proxy":  edge(`{"handle":[{"handler":"reverse_proxy","headers":{"Request":{"set":{"Host":["a"]}}}}]}`),
		"checks of a proxy":   edge(`{"handle":[{"handler":"reverse_proxy","Health_checks":{}}]}`),
		"in a variable's set": edge(`{"match":[{"not":[{"not":[{"path_regexp":{"Pattern":"x"}}]}]}]}`),
		"of somebody else":    edge(`{"handle":[{"handler":"somebody_elses","Handle":[]}]}`),
		"deep in another's":   edge(`{"handle":[{"handler":"somebody_elses","a":{"b":[{"Match":[]}]}}]}`),
		"inside another's":    edge(`{"handle":[{"handler":"somebody_elses","handle":[{"handler":"reverse_proxy","Upstreams":[]}]}]}`),
	} {
		if err := CheckMembers([]byte(config)); err == nil {
			t.Errorf("%s: is not refused", name)
		}
	}
}

// TestIDsAreNoMatchers has an id where its name could be taken for a matcher's.
func TestIDsAreNoMatchers(t *testing.T) {
	t.Parallel()
	plain := edge(`{"match":[{"path":["/x"],"expression":"1 < 2"}],"handle":[` + "{\"handler\":\"static_response\"}" + `]}`)
	var reports [2]strings.Builder
	for n, text := range []string{plain, strings.Replace(plain, `{"path"`, `{"@id":"x","path"`, 1)} {
		c, err := Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := NewReport(c).WriteText(&reports[n]); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := reports[0].String(), reports[1].String(); a != b || !strings.Contains(a, "1 < 2") {
		t.Errorf("%s\n%s", a, b)
	}
}

// FuzzMembers holds that what is let in reads the same by name and by encoding/json, which
// Caddy reads it with.
func FuzzMembers(f *testing.F) {
	for _, seed := range []string{
		edge(services), `{"Apps":{}}`, `{"apps":{"http":{"servers":1,"ſervers":2}}}`, `{"apps":{"http":{"servers":{"s":{}}}},"apps":{}}`, `{"@id":"a\"b"}`, `[`, `null`, `{"admin":{"@id":1}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, config []byte) {
		if CheckMembers(config) != nil {
			return
		}
		var read struct {
			Admin any `json:"admin"`
			Apps  struct {
				HTTP struct {
					Servers any `json:"servers"`
				} `json:"http"`
			} `json:"apps"`
		}
		if json.Unmarshal(config, &read) != nil {
			return
		}
		var root any
		if err := json.Unmarshal(config, &root); err != nil {
			t.Fatal(err)
		}
		all, _ := root.(object)
		apps, _ := all["apps"].(object)
		web, _ := apps["http"].(object)
		if compact(read.Admin) != compact(all["admin"]) || compact(read.Apps.HTTP.Servers) != compact(web["servers"]) {
			t.Errorf("%q is read as %+v", config, read)
		}
	})
}
