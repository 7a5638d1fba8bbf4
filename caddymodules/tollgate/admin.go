package tollgate

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/open-tollgate/tollgate/internal/policy"
)

func init() {
	caddy.RegisterModule(new(Admin))
}

// Admin is the part of the admin API that tells the policy that runs:
//
//	GET /tollgate/policy                 the report of "tollgate policy report", and the policy's hash
//	GET /tollgate/policy?format=html     the same for people; or text
//
// It is also what sees a configuration first: Caddy sets the admin API up before any app.
type Admin struct{}

// CaddyModule returns the Caddy module information. Caddy sets the parts of the admin API up
// in the order of their names, and admin.api.pki takes the app pki, and its text, away from
// whoever comes later: hence a name that comes before all others.
func (*Admin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.access_policy", New: func() caddy.Module { return new(Admin) }}
}

// Provision reads the policy of the configuration that comes in, while it is whole, and
// asks the guard of the one that runs. It is too early for anything of the new
// configuration to have an effect, its admin address included.
func (*Admin) Provision(ctx caddy.Context) error {
	next := policyOf(ctx)
	if errors.Is(next.err, errSetUp) {
		return nil // set up once more, for remote administration, when the apps were judged
	}
	incoming.Store(next)
	return guard(next)
}

// Routes implements caddy.AdminRouter.
func (*Admin) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: "/tollgate/policy", Handler: caddy.AdminHandlerFunc(servePolicy)}}
}

func servePolicy(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: errors.New("want GET")}
	}
	running := newest.Load()
	if running == nil {
		return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errors.New("the configuration that runs has nothing of Tollgate in it")}
	}
	report, err := running.report()
	if err != nil {
		return caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: fmt.Errorf("the policy that runs could not be read: %w", err)}
	}
	w.Header().Set("Cache-Control", "no-store")
	switch format := r.URL.Query().Get("format"); format {
	case "", "json":
		w.Header().Set("Content-Type", "application/json")
		return report.WriteJSON(w)
	case "html":
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		return report.WriteHTML(w, "Policy of the running edge")
	case "text":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		return report.WriteText(w)
	default:
		return caddy.APIError{HTTPStatus: http.StatusBadRequest, Err: fmt.Errorf("format %q is not json, html or text", format)}
	}
}

func (a *App) report() (*policy.Report, error) {
	if a.policy.err != nil {
		return nil, a.policy.err
	}
	model, err := a.policy.model()
	if err != nil {
		return nil, err
	}
	return policy.NewReport(model), nil
}

// Interface guards.
var (
	_ caddy.AdminRouter = (*Admin)(nil)
	_ caddy.Provisioner = (*Admin)(nil)
)
