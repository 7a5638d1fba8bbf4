// Package sandbox runs the real chain of handlers of a configuration within this
// process: it listens nowhere, and starts nothing.
package sandbox

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Edge is the handlers of a configuration. It answers one request at a time.
type Edge struct {
	app    *caddyhttp.App
	log    *lines
	mu     sync.Mutex
	cancel context.CancelFunc
}

// Answer is what came of a request, as the caller sees it and as the access log tells it.
type Answer struct {
	*httptest.ResponseRecorder
	API, Reason string
}

// provisioning is one at a time, and so is its end: Caddy keeps the storage of the last
// one, and a cache of certificates, for all.
var provisioning sync.Mutex

// editions number the edges of this process, for their logs.
var editions atomic.Uint64

// Open provisions a configuration as it is, but for its logs: what it says of upstreams,
// issuers and Redis is what it meets. Handlers that connect to something when they are
// provisioned do so. A Sandbox keeps them from all that. Close lets go of it.
func Open(config []byte) (*Edge, error) {
	registerOnce()
	var parsed caddy.Config
	if err := json.Unmarshal(config, &parsed); err != nil {
		return nil, fmt.Errorf("not a configuration: %w", err)
	}
	e := &Edge{log: newLines(strconv.FormatUint(editions.Add(1), 10))}
	parsed.Admin, parsed.Logging = &caddy.AdminConfig{Disabled: true}, e.log.config()
	defer logs.Delete(e.log.id)
	provisioning.Lock()
	defer provisioning.Unlock()
	ctx, err := e.provision(&parsed)
	if err != nil {
		return nil, err
	}
	app, err := ctx.AppIfConfigured("http")
	if err != nil {
		e.cancel()
		return nil, errors.New("the configuration has no http app")
	}
	e.app = app.(*caddyhttp.App)
	return e, nil
}

// provision does what caddy.ProvisionContext does, but in a context of its own for the
// apps: Caddy keeps to itself what ends the one that it makes, and all that modules have
// begun in it would stay for as long as the process.
func (e *Edge) provision(config *caddy.Config) (caddy.Context, error) {
	apps := config.AppsRaw
	config.AppsRaw = nil
	outer, err := caddy.ProvisionContext(config)
	if err != nil {
		return outer, err
	}
	config.AppsRaw = apps
	ctx, cancel := caddy.NewContext(outer)
	for name := range apps {
		if _, err := ctx.App(name); err != nil {
			cancel()
			return ctx, err
		}
	}
	e.cancel = cancel
	return ctx, nil
}

// Close ends what the modules of the configuration have begun. Nothing is served after it.
func (e *Edge) Close() {
	provisioning.Lock()
	defer provisioning.Unlock()
	e.cancel()
}

// Listener is where a server would listen.
type Listener struct {
	Server, Address string
	TLS             bool
}

// Listeners are those of all servers, of ones that automatic HTTPS has added as well. TLS is
// what Caddy makes of it when it starts: its HTTP port has none, whatever the policies are.
func (e *Edge) Listeners() []Listener {
	port := uint(cmp.Or(e.app.HTTPPort, caddyhttp.DefaultHTTPPort))
	var all []Listener
	for name, s := range e.app.Servers {
		for _, address := range s.Listen {
			at, err := caddy.ParseNetworkAddress(address)
			if err != nil {
				continue // it would not have been provisioned
			}
			all = append(all, Listener{name, address, len(s.TLSConnPolicies) > 0 && at.StartPort != port})
		}
	}
	return all
}

// Serve has a server answer a request. It needs an access log.
func (e *Edge) Serve(server string, r *http.Request) (Answer, error) {
	s := e.app.Servers[server]
	if s == nil {
		return Answer{}, fmt.Errorf("no server %s", server)
	}
	if s.Logs == nil {
		return Answer{}, fmt.Errorf("server %s has no access log", server)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.log.forget()
	a := Answer{ResponseRecorder: httptest.NewRecorder()}
	s.ServeHTTP(a, r)
	a.API, a.Reason = e.log.access()
	return a, nil
}
