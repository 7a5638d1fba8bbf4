package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// comparedServers compares two servers, each given by its members beside where it listens.
func comparedServers(t *testing.T, old, new string) *DiffResult {
	t.Helper()
	return Diff(modelOf(t, old), modelOf(t, new), time.Unix(1e9, 0))
}

// modelOf is that of one server's members.
func modelOf(t *testing.T, members string) *Config {
	t.Helper()
	c, err := Parse([]byte(`{"apps":{"http":{"servers":{"s":{"listen":[":443"],` + members + `}}}}}`))
	if err != nil {
		t.Fatalf("%v: %s", err, members)
	}
	return c
}

const (
	toService = `{"handler":"reverse_proxy","upstreams":[{"dial":"127.0.0.1:1"}]}`
	elseNo    = `{"handle":[{"handler":"static_response","status_code":403}]}`
)

// guarded lets in what a set of matchers is for, after other handlers.
func guarded(set, before string) string {
	return `"routes":[{"handle":[` + before + `{"handler":"vars","a":"b"}]},{"match":[` + set + `],"handle":[` + toService + `]},` + elseNo + `]`
}

// shut lets nobody in, after the same handlers.
func shut(before string) string {
	return `"routes":[{"handle":[` + before + `{"handler":"vars","a":"b"}]},` + elseNo + `]`
}

// TestPortsAndClientsAreTriedByDiff adds ways in that are for a Host with a port, or for a
// client behind a proxy that is believed: each is found, with a request that takes it.
func TestPortsAndClientsAreTriedByDiff(t *testing.T) {
	t.Parallel()
	const believed = `"trusted_proxies":{"source":"static","ranges":["10.0.0.0/8"]},`
	const both = `{"remote_ip":{"ranges":["10.0.0.1"]},"client_ip":{"ranges":["192.0.2.7"]}}`
	for _, c := range []struct{ name, server, set, host, header, address string }{
		{"a port of a field", "", `{"header":{"Host":["edge.test:9000"]}}`, "edge.test:9000", "", ""},
		{"any name with a port", "", `{"header":{"Host":["*:9000"]}}`, "zq7:9000", "", ""},
		{"an expression with a port", "", `{"header_regexp":{"Host":{"pattern":"^foo[.]test:9+$"}}}`, "foo.test:9", "", ""},
		{"no port", "", `{"not":[{"header_regexp":{"Host":{"pattern":":"}}}],"host":["edge.test"]}`, "edge.test", "", ""},
		{"a name with a port", "", `{"host":["edge.test:8443"]}`, "[edge.test:8443]", "", ""},
		{"an address", "", `{"host":["::1"]}`, "[::1]", "", ""},
		{"a proxy and its client", believed, both, "", "192.0.2.7", "10.0.0.1"},
		{"a client of proxies that are looked up", `"trusted_proxies":{"source":"cloud"},`, both, "", "192.0.2.7", "10.0.0.1"},
		{"no proxy between", believed, `{"remote_ip":{"ranges":["10.0.0.1"]},"not":[{"client_ip":{"ranges":["10.0.0.0/8"]}}]}`, "", "10.", ""},
	} {
		d := comparedServers(t, c.server+shut(""), c.server+guarded(c.set, ""))
		n := slices.IndexFunc(d.Changes, func(c *Change) bool { return c.Direction == Widened })
		if n < 0 {
			t.Errorf("%s: not found to be wider: %+v", c.name, d)
			continue
		}
		w := d.Changes[n].Witness
		if got := w.Header.Get("X-Forwarded-For"); c.host != "" && w.Host != c.host || c.header == "10." && strings.HasPrefix(got, c.header) || c.header != "10." && got != c.header || c.address != "" && w.Remote != netip.MustParseAddr(c.address) {
			t.Errorf("%s: %s %q %v from %s", c.name, d.Changes[n].URL, w.Host, w.Header, w.Remote)
		}
	}
	for name, pair := range map[string][2]string{
		"the caller's address by a proxy": {believed + guarded(`{"remote_ip":{"ranges":["10.0.0.1"]}}`, ""), believed + guarded(`{"client_ip":{"ranges":["10.0.0.1"]}}`, "")},
		"a field with the whole Host":     {setTo("{http.request.host}"), setTo("{http.request.hostport}")},
		"a field with the client":         {believed + setTo("{http.request.remote.host}"), believed + setTo("{http.vars.client_ip}")},
	} {
		if d := comparedServers(t, pair[0], pair[1]); len(d.Changes) == 0 {
			t.Errorf("%s: called equal", name)
		}
	}
	if d := comparedServers(t, guarded(`{"remote_ip":{"ranges":["10.0.0.1"]}}`, ""), guarded(`{"client_ip":{"ranges":["10.0.0.1"]}}`, "")); len(d.Changes) > 0 || !d.Complete {
		t.Errorf("without a proxy the two are one: %+v", d)
	}
	replaced := `{"handler":"headers","request":{"replace":{"Host":[{"search_regexp":"^int-(.*)$","replace":"$1"}]}}},`
	if d := comparedServers(t, shut(replaced), guarded(`{"host":["a.test"]}`, replaced)); d.Complete {
		t.Error("a Host that is made of another is followed back")
	}
}

// setTo has a service told something by a field.
func setTo(value string) string {
	return `"routes":[{"handle":[{"handler":"headers","request":{"set":{"X-A":["` + value + `"]}}},` + toService + `]}]`
}

// TestWhoListensInsteadIsSeen takes a server away that has an address of its own at a port
// where another one listens for all: its callers reach that one from now on.
func TestWhoListensInsteadIsSeen(t *testing.T) {
	t.Parallel()
	servers := func(listen ...string) *Config {
		handlers := []string{toService, `{"handler":"static_response","status_code":403}`}
		var all []string
		for n, address := range listen {
			all = append(all, fmt.Sprintf(`"s%d":{"listen":["%s"],"routes":[{"handle":[%s]}]}`, n, address, handlers[n]))
		}
		c, err := Parse([]byte(`{"apps":{"http":{"servers":{` + strings.Join(all, ",") + `}}}}`))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	lets := func(c *Change) bool { return c.Direction == Widened && c.What == "was refused and is let in" }
	for _, address := range []string{"203.0.113.1:8443", "[2001:db8::1]:8443"} {
		d := Diff(servers(":8443", address), servers(":8443"), time.Unix(1e9, 0))
		if !slices.ContainsFunc(d.Changes, lets) {
			t.Errorf("%s: not found to be wider: %+v", address, d)
		}
		if d = Diff(servers(":8443"), servers(":8443", address), time.Unix(1e9, 0)); !d.Has(Widened) {
			t.Errorf("%s: a server is new, and that is not wider: %+v", address, d)
		}
	}
	if d := Diff(servers(":8443", "203.0.113.1:9443"), servers(":8443"), time.Unix(1e9, 0)); d.Has(Widened) {
		t.Errorf("nobody listens there: %+v", d)
	}
}
