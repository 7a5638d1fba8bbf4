package policy

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/caddymodules/sandbox"
	"github.com/open-tollgate/tollgate/internal/policy"
)

// TestAutomaticHTTPSIsModelled provisions random servers: where callers have to come by TLS,
// and what becomes of those that do not, is what Caddy makes of it, also where it is in no
// line of the configuration.
func TestAutomaticHTTPSIsModelled(t *testing.T) {
	dir := t.TempDir()
	kinds := make(map[string]int)
	for n := range 150 {
		g := &generator{Rand: rand.New(rand.NewPCG(11, uint64(n)))}
		config, err := json.Marshal(g.automatic(dir))
		if err != nil {
			t.Fatal(err)
		}
		real, err := sandbox.Open(config)
		if err != nil {
			t.Fatalf("config %d: %v\n%s", n, err, config)
		}
		model, err := policy.Parse(config)
		if err != nil {
			t.Fatalf("config %d: %v\n%s", n, err, config)
		}
		servers := model.Servers
		if model.Redirects != nil {
			servers = append(slices.Clone(servers), model.Redirects)
		}
		listeners := real.Listeners()
		if got, want := listening(servers), listeningOf(listeners); got != want {
			t.Fatalf("config %d: Caddy listens on\n%s\nthe model on\n%s\n%s", n, want, got, config)
		}
		for _, l := range listeners {
			s := servers[slices.IndexFunc(servers, func(s *policy.Server) bool { return s.Name == l.Server && slices.Contains(s.Listen, l.Address) })]
			for range 12 {
				host, path := one(g, []string{"a.test", "b.test", "x.a.test", "nobody.test"}), one(g, []string{"/", "/a"})
				want := visit(t, real, l, host, path)
				o := model.Evaluate(s, policy.Request{Method: "GET", Host: host, Target: path, TLS: s.TLS}, &policy.Judge{Now: time.Now()})[0]
				got := fmt.Sprint(o.Status, " ", strings.NewReplacer("{http.request.host}", host, "{http.request.uri}", path).Replace(o.Location))
				if kinds[want]++; got != want {
					t.Fatalf("config %d: %s%s at %v: Caddy: %s, the model: %s\n%s", n, host, path, l, want, got, config)
				}
			}
		}
		real.Close()
	}
	if len(kinds) < 10 {
		t.Errorf("only %d different answers: %v", len(kinds), kinds)
	}
}

// listening tells where servers listen, in an order of its own.
func listening(servers []*policy.Server) string {
	var all []string
	for _, s := range servers {
		for _, address := range s.Listen {
			all = append(all, fmt.Sprintf("%s %s %v", s.Name, address, s.TLS))
		}
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

func listeningOf(listeners []sandbox.Listener) string {
	var all []string
	for _, l := range listeners {
		all = append(all, fmt.Sprintf("%s %s %v", l.Server, l.Address, l.TLS))
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

// visit sends a request to a listener.
func visit(t *testing.T, real *sandbox.Edge, l sandbox.Listener, host, path string) string {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	if r.Host = host; l.TLS {
		r.TLS = &tls.ConnectionState{HandshakeComplete: true}
	}
	a, err := real.Serve(l.Server, r)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(a.Code, " ", a.Header().Get("Location"))
}

// automatic makes servers that differ in what automatic HTTPS looks at.
func (g *generator) automatic(dir string) object {
	web := object{}
	at := []int{80, 443, 8443}
	if g.chance(30) {
		web["http_port"], at[0] = 8080, 8080
	}
	if g.chance(30) {
		web["https_port"], at[1] = 9443, 9443
	}
	servers := object{}
	taken := make(map[string]bool)
	for n := range 1 + g.IntN(3) {
		server := g.automaticServer(at, taken)
		if server != nil {
			servers[fmt.Sprintf("srv%d", n)] = server
		}
	}
	web["servers"] = servers
	return object{"admin": object{"disabled": true}, "storage": object{"module": "file_system", "root": dir}, "apps": object{"http": web}}
}

func (g *generator) automaticServer(at []int, taken map[string]bool) object {
	var listen []string
	for _, port := range some(g, at) {
		if address := fmt.Sprintf("%s:%d", one(g, []string{"127.0.0.1", "127.0.0.1", "127.0.0.2"}), port); !taken[address] {
			taken[address] = true
			listen = append(listen, address)
		}
	}
	if len(listen) == 0 {
		return nil
	}
	automatic := object{}
	for _, name := range []string{"disable", "disable_redirects", "disable_certificates", "disable_certificates"} {
		if g.chance(15) {
			automatic[name] = true
		}
	}
	if g.chance(15) {
		automatic["skip"] = []string{"a.test"}
	}
	if g.chance(15) {
		automatic["skip_certificates"] = []string{"a.test", "b.test"}
	}
	server := object{"listen": listen, "logs": object{}, "automatic_https": automatic, "routes": g.automaticRoutes()}
	if g.chance(20) {
		server["tls_connection_policies"] = one(g, []any{[]object{}, []object{{}}})
	}
	return server
}

// automaticRoutes name hosts where Caddy looks for them, and where it does not.
func (g *generator) automaticRoutes() []object {
	answer := func(status int) []object {
		return []object{{"handler": "static_response", "status_code": status}}
	}
	var routes []object
	for n := range 1 + g.IntN(3) {
		hosts := some(g, []string{"a.test", "b.test", "*.a.test"})
		routes = append(routes, one(g, []object{
			{"match": []object{{"host": hosts}}, "handle": answer(210 + n), "terminal": true},
			{"match": []object{{"host": hosts, "path": []string{"/a"}}}, "handle": answer(220 + n)},
			{"match": []object{{"not": []object{{"host": hosts}}}}, "handle": answer(230 + n)},
			{"handle": []object{{"handler": "subroute", "routes": []object{{"match": []object{{"host": hosts}}, "handle": answer(240 + n)}}}}},
			{"match": []object{{"path": []string{"/a"}}}, "handle": answer(250 + n)},
		}))
	}
	return routes
}
