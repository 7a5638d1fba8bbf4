package api

import (
	"encoding/json"
	"errors"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// errCaught is for a subroute with error routes of its own, which only JSON can have.
var errCaught = errors.New("a subroute inside an api cannot have errors: they would answer what the api refuses, with a 200 if they like; the server's errors can (handle_errors)")

// checkCaught refuses subroutes that catch errors, in the named routes that are invoked as
// well. definition is the API's JSON: Caddy takes it away when it sets the routes up.
func checkCaught(ctx caddy.Context, definition []byte) error {
	var routes any
	if err := json.Unmarshal(definition, &routes); err != nil {
		return err
	}
	named := make(map[string][]any)
	for _, module := range ctx.Modules() {
		app, ok := module.(*caddyhttp.App)
		if !ok {
			continue
		}
		for _, server := range app.Servers {
			for name, route := range server.NamedRoutes {
				for _, text := range route.HandlersRaw {
					var handler any
					if err := json.Unmarshal(text, &handler); err != nil {
						return err
					}
					named[name] = append(named[name], handler)
				}
				named[name] = append(named[name], asWritten(route.Handlers)...)
			}
		}
	}
	if catches(routes, named) {
		return errCaught
	}
	return nil
}

// catches looks through a value for such a subroute. Each named route is looked at once.
func catches(value any, named map[string][]any) bool {
	switch value := value.(type) {
	case []any:
		for _, element := range value {
			if catches(element, named) {
				return true
			}
		}
	case map[string]any:
		if value["handler"] == "subroute" && value["errors"] != nil {
			return true
		}
		if name, ok := value["name"].(string); ok && value["handler"] == "invoke" {
			route := named[name]
			delete(named, name)
			if catches(route, named) {
				return true
			}
		}
		for _, member := range value {
			if catches(member, named) {
				return true
			}
		}
	}
	return false
}

// asWritten gives what JSON has said of handlers that are set up, as far as catches looks.
func asWritten(handlers []caddyhttp.MiddlewareHandler) (all []any) {
	for _, h := range handlers {
		switch h := h.(type) {
		case *caddyhttp.Subroute:
			written := map[string]any{"handler": "subroute"}
			if h.Errors != nil {
				written["errors"] = true
			}
			var inner []any
			for _, route := range h.Routes {
				inner = append(inner, asWritten(route.Handlers)...)
			}
			written["routes"] = inner
			all = append(all, written)
		case *caddyhttp.Invoke:
			all = append(all, map[string]any{"handler": "invoke", "name": h.Name})
		}
	}
	return all
}
