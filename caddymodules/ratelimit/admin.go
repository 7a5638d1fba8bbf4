package ratelimit

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/open-tollgate/tollgate/caddymodules/tollgate"
	"github.com/open-tollgate/tollgate/internal/limit"
)

func init() {
	caddy.RegisterModule(Admin{})
}

// Admin is the part of the admin API that operators look at limits with.
//
//	GET  /rate_limits/         the zones, and what they have decided
//	POST /rate_limits/show     where a key stands: {"zone": "...", "api": "...", "values": ["..."]}
//	POST /rate_limits/reset    forgets what is counted for a key: the same
//
// values are those of the key's placeholders, in their order. They are in the body, so
// that no log of requests has them.
type Admin struct{}

// CaddyModule returns the Caddy module information.
func (Admin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.rate_limits", New: func() caddy.Module { return new(Admin) }}
}

// Routes implements caddy.AdminRouter.
func (a Admin) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{
		{Pattern: "/rate_limits/", Handler: caddy.AdminHandlerFunc(only(http.MethodGet, a.list))},
		{Pattern: "/rate_limits/show", Handler: caddy.AdminHandlerFunc(only(http.MethodPost, a.show))},
		{Pattern: "/rate_limits/reset", Handler: caddy.AdminHandlerFunc(only(http.MethodPost, a.reset))},
	}
}

func only(method string, next caddy.AdminHandlerFunc) caddy.AdminHandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if r.Method != method {
			return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: fmt.Errorf("want %s", method)}
		}
		return next(w, r)
	}
}

// Status is what the admin API tells of all limits of a node.
type Status struct {
	Nodes      int          `json:"nodes"`
	Degraded   bool         `json:"degraded"`
	RoundTrips uint64       `json:"round_trips"`
	Failures   uint64       `json:"failures"`
	Zones      []ZoneStatus `json:"zones"`
}

// ZoneStatus is what it tells of a zone. The counts are those since the process started.
type ZoneStatus struct {
	API        string `json:"api,omitempty"`
	Zone       string `json:"zone"`
	Kind       string `json:"kind"`
	Policy     string `json:"policy"`
	Key        string `json:"key"`
	OnFailure  string `json:"on_failure,omitempty"`
	Shadow     bool   `json:"shadow,omitempty"`
	Allowed    uint64 `json:"allowed"`
	Denied     uint64 `json:"denied"`
	Shadowed   uint64 `json:"shadowed"`
	Leased     uint64 `json:"leased"`
	RoundTrips uint64 `json:"round_trips"`
	Degraded   uint64 `json:"degraded"`
	GivenBack  uint64 `json:"given_back"`
	Keys       int    `json:"keys"`
}

// Subject says whose counts are meant.
type Subject struct {
	API    *string  `json:"api,omitempty"`
	Zone   string   `json:"zone"`
	Values []string `json:"values"`
}

// SubjectStatus is where a subject stands.
type SubjectStatus struct {
	API       string  `json:"api,omitempty"`
	Zone      string  `json:"zone"`
	Policy    string  `json:"policy"`
	Caller    string  `json:"caller"` // what stands for it in this node's log
	Used      int64   `json:"used"`
	Remaining int64   `json:"remaining"`
	Held      int64   `json:"held"` // on lease to this node
	Wait      float64 `json:"wait_seconds"`
	Degraded  bool    `json:"degraded"`
}

func (Admin) list(w http.ResponseWriter, _ *http.Request) error {
	app, engine, err := running()
	if err != nil {
		return err
	}
	info := engine.Info()
	counts := make(map[[2]string]limit.LimitInfo, len(info.Limits))
	for _, l := range info.Limits {
		counts[[2]string{l.Scope, l.Name}] = l
	}
	status := Status{Nodes: info.Nodes, Degraded: info.Degraded, RoundTrips: info.RoundTrips, Failures: info.Failures, Zones: []ZoneStatus{}}
	for _, z := range zonesOf.of(app) {
		n := counts[[2]string{z.api, z.name}]
		status.Zones = append(status.Zones, ZoneStatus{
			API: z.api, Zone: z.name, Kind: string(z.kind()), Policy: z.policyItem(), Key: z.Key,
			OnFailure: string(z.OnFailure), Shadow: z.Shadow,
			Allowed: n.Allowed, Denied: n.Denied, Shadowed: n.Shadowed, Leased: n.Leased,
			RoundTrips: n.RoundTrips, Degraded: n.Degraded, GivenBack: n.GivenBack, Keys: n.Keys,
		})
	}
	return answer(w, status)
}

func (a Admin) show(w http.ResponseWriter, r *http.Request) error {
	return a.each(w, r, func(*limit.Engine, *Zone, string) error { return nil })
}

func (a Admin) reset(w http.ResponseWriter, r *http.Request) error {
	return a.each(w, r, func(engine *limit.Engine, z *Zone, key string) error {
		err := engine.Reset(r.Context(), z.limit, key)
		caddy.Log().Named("rate_limit").Info("the counts of a caller were reset", zap.String("api", z.api), zap.String("zone", z.name),
			zap.String("caller", callerOf(z, key)), zap.Error(err))
		return err
	})
}

// each does something for a subject in each zone that is meant, and tells where it stands then.
func (Admin) each(w http.ResponseWriter, r *http.Request, do func(*limit.Engine, *Zone, string) error) error {
	app, engine, err := running()
	if err != nil {
		return err
	}
	var who Subject
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&who); err != nil {
		return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: errors.New("the body is no subject")} // the error would repeat it
	}
	zones, err := zonesOf.find(app, who.API, who.Zone)
	if err != nil {
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: err}
	}
	found := []SubjectStatus{}
	for _, z := range zones {
		key, err := z.template.with(who.Values, z.networks)
		if err != nil {
			return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: err}
		}
		if err := do(engine, z, key); err != nil {
			return caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: err}
		}
		state, err := engine.Inspect(r.Context(), z.limit, key)
		if err != nil {
			return caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: err}
		}
		found = append(found, SubjectStatus{
			API: z.api, Zone: z.name, Policy: z.policyItem(), Caller: callerOf(z, key), Used: state.Used,
			Remaining: state.Remaining, Held: state.Held, Wait: state.Wait.Seconds(), Degraded: state.Degraded,
		})
	}
	return answer(w, found)
}

// running gives the app of the configuration that runs.
func running() (*tollgate.App, *limit.Engine, error) {
	module, err := caddy.ActiveContext().AppIfConfigured("tollgate")
	if err != nil {
		return nil, nil, caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errors.New("no rate limits are configured")}
	}
	app := module.(*tollgate.App)
	if len(zonesOf.of(app)) == 0 {
		return nil, nil, caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errors.New("no rate limits are configured")}
	}
	engine, err := app.Limiter()
	return app, engine, err
}

func answer(w http.ResponseWriter, what any) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	return json.NewEncoder(w).Encode(what)
}

// Interface guard.
var _ caddy.AdminRouter = (*Admin)(nil)
