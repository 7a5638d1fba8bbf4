package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/open-tollgate/tollgate/caddymodules/tollgate"
	"github.com/open-tollgate/tollgate/internal/auditlog"
)

// TestRequestsBeforeStart: Caddy starts its apps in any order, so that the server may answer
// before the app has opened the log, or found that it cannot be. Nothing passes unrecorded.
func TestRequestsBeforeStart(t *testing.T) {
	for name, test := range map[string]struct {
		dir   string
		opens bool
	}{"a log": {filepath.Join(t.TempDir(), "audit"), true}, "one that cannot be opened": {"/dev/null/audit", false}} {
		apps := caddy.ModuleMap{"tollgate": json.RawMessage(fmt.Sprintf(`{"audit":{"dir":%q,"name":"edge.test/audit"}}`, test.dir))}
		ctx, err := caddy.ProvisionContext(&caddy.Config{AppsRaw: apps})
		if err != nil {
			t.Fatal(err)
		}
		app, err := tollgate.FromContext(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if exists, _ := filepath.Glob(test.dir); exists != nil {
			t.Errorf("%s: it is opened before anybody asks", name)
		}
		for setting, want := range map[string]bool{"": test.opens, "required": test.opens, "off": true} {
			module, err := ctx.LoadModuleByID("http.handlers.api", json.RawMessage(fmt.Sprintf(
				`{"name":"before-%s","public":true,"audit":%q,"routes":[{"handle":[{"handler":"static_response"}]}]}`, setting, setting)))
			if err != nil {
				t.Fatal(err)
			}
			answer := httptest.NewRecorder()
			r := caddyhttp.PrepareRequest(httptest.NewRequest(http.MethodGet, "/", nil), caddy.NewReplacer(), answer, new(caddyhttp.Server))
			if err := module.(caddyhttp.MiddlewareHandler).ServeHTTP(answer, r, nil); err != nil {
				t.Fatal(err)
			}
			passed := answer.Code == http.StatusOK
			if passed != want || !passed && !strings.Contains(answer.Body.String(), "audit_unavailable") {
				t.Errorf("%s, audit %q: %d %s", name, setting, answer.Code, answer.Body)
			}
		}
		if err := app.Start(); (err == nil) != test.opens {
			t.Errorf("%s: start: %v", name, err)
		}
		if err := errors.Join(app.Stop(), app.Cleanup()); err != nil {
			t.Error(err)
		}
		if !test.opens {
			continue
		}
		var all strings.Builder
		_ = auditlog.Records(test.dir, 0, func(_ int64, text []byte) bool { all.Write(text); return true })
		if text := all.String(); !strings.Contains(text, `"before-"`) || !strings.Contains(text, `"before-required"`) || strings.Contains(text, `"before-off"`) {
			t.Errorf("recorded: %s", text)
		}
	}
}
