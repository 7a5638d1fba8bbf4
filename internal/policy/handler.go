package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/open-tollgate/tollgate/internal/identity"
)

// Handler is what a route does with a request.
type Handler interface {
	// serve gives the answer, or what next gives.
	serve(w *walk, next next) end
	// String is what a reader wants to know of it.
	String() string
}

// handler reads one handler.
func (p *parser) handler(at string, raw json.RawMessage) Handler {
	var kind struct {
		Handler string `json:"handler"`
	}
	p.fail(at, json.Unmarshal(raw, &kind))
	p.server.tellsPort = p.server.tellsPort || bytes.Contains(raw, []byte(tellsPort))
	where := at + " " + kind.Handler
	switch kind.Handler {
	case "subroute":
		return p.subroute(at, raw)
	case "api":
		return p.readAPI(at, raw)
	case "access_token":
		h := decode(p, where, raw, &AccessToken{At: at, API: p.api})
		h.Trust = p.config.Tollgate.selected(h.Issuers, h.Audiences, profileOf(p.api))
		return h
	case "require":
		return decode(p, where, raw, &Require{At: at})
	case "rate_limit":
		return p.rateLimit(at, raw)
	case "reverse_proxy":
		return p.proxy(at, raw)
	case "intercept":
		h := decode(p, where, raw, &Intercept{At: at, text: canonicalJSON(raw)})
		h.responses = p.responses(at, h.HandleResponse)
		return h
	case "copy_response", "copy_response_headers":
		h := decode(p, where, raw, &CopyResponse{At: at, What: kind.Handler, text: canonicalJSON(raw)})
		h.onlyFields = kind.Handler == "copy_response_headers"
		return h
	case "static_response":
		return p.static(at, raw)
	case "error":
		return decode(p, where, raw, &StaticError{At: at})
	case "rewrite":
		return p.rewrite(at, raw)
	case "headers":
		h := decode(p, where, raw, &Headers{At: at})
		h.answer, h.late = answerText(h.Response), isLate(h.Response)
		p.server.changeHost(h.Request)
		return h
	case "invoke":
		return decode(p, where, raw, &Invoke{At: at})
	case "resource_metadata":
		return p.metadata(at)
	case "assertion_keys":
		return &PublishedHandler{At: at, What: "assertion_keys"}
	case "file_server":
		return p.files(at, raw)
	case "vars", "map":
		if steers(kind.Handler, raw) {
			return &Steers{At: at, What: kind.Handler}
		}
		return newPass(at, kind.Handler, raw)
	case "identity_assertion", "timeouts", "encode", "request_body", "tracing", "push", "log_append", "templates":
		return newPass(at, kind.Handler, raw)
	default:
		return &Unknown{At: at, What: kind.Handler}
	}
}

// decode reads the handler's own settings.
func decode[H Handler](p *parser, where string, raw json.RawMessage, h H) H {
	p.fail(where, json.Unmarshal(raw, h))
	return h
}

// steers says whether a handler that else passes on changes what decides: the address or
// the identity that handlers after it read.
func steers(name string, raw json.RawMessage) bool {
	decides := func(key string) bool {
		key = strings.Trim(key, "{}")
		return key == "client_ip" || key == "trusted_proxy" || strings.HasPrefix(key, "http.") || strings.ContainsAny(key, "{}")
	}
	var h struct {
		Destinations []string `json:"destinations"`
	}
	if name == "map" {
		return json.Unmarshal(raw, &h) != nil || slices.ContainsFunc(h.Destinations, decides)
	}
	var vars map[string]any
	return json.Unmarshal(raw, &vars) != nil || slices.ContainsFunc(slices.Collect(maps.Keys(vars)), decides)
}

func profileOf(api *API) string {
	if api == nil {
		return ""
	}
	return api.Profile
}

// Subroute holds routes, and what becomes of their errors.
type Subroute struct {
	At     string
	Routes []*Route
	Errors []*Route
	caught bool // there is an errors object
}

func (p *parser) subroute(at string, raw json.RawMessage) Handler {
	var s struct {
		Routes []rawRoute `json:"routes"`
		Errors *struct {
			Routes []rawRoute `json:"routes"`
		} `json:"errors"`
	}
	p.fail(at, json.Unmarshal(raw, &s))
	h := &Subroute{At: at, Routes: p.routes(at+"/routes", s.Routes)}
	if s.Errors != nil && s.Routes == nil { // Caddy does not set them up then: they match all, and do nothing
		for n := range s.Errors.Routes {
			s.Errors.Routes[n].Match, s.Errors.Routes[n].Handle = nil, nil
		}
	}
	if s.Errors != nil {
		h.caught, h.Errors = true, p.routes(at+"/errors/routes", s.Errors.Routes)
	}
	return h
}

// errCaught is for what the edge does not load: error routes inside an API would answer
// what it refuses.
var errCaught = errors.New("a subroute inside an api cannot have errors")

// catches says whether a subroute in the routes, or in those that they invoke, has errors.
func (s *Server) catches(routes []*Route, invoked map[string]bool) (caught bool) {
	VisitRoutes(routes, func(h Handler) {
		switch h := h.(type) {
		case *Subroute:
			caught = caught || h.caught
		case *Invoke:
			if r := s.Named[h.Name]; r != nil && !invoked[h.Name] {
				invoked[h.Name] = true
				caught = caught || s.catches([]*Route{r}, invoked)
			}
		}
	})
	return caught
}

func (h *Subroute) String() string    { return "subroute" }
func (h *Subroute) inner() [][]*Route { return [][]*Route{h.Routes, h.Errors} }

// API is a named API of the edge.
type API struct {
	At           string
	Name         string   `json:"name"`
	Public       bool     `json:"public"`
	Profile      string   `json:"profile"`
	Methods      []string `json:"methods"`
	WebSocket    bool     `json:"websocket"`
	Strip        []string `json:"strip"`
	Resource     string   `json:"resource"`
	ResourceName string   `json:"resource_name"`
	Audit        string   `json:"audit"`
	Routes       []*Route `json:"-"`
	Server       *Server  `json:"-"`

	strips *identity.List // what it takes away
}

// knownMethods are all that an API can allow, and does where it names none.
var knownMethods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut,
	http.MethodPatch, http.MethodDelete, http.MethodOptions,
}

func (p *parser) readAPI(at string, raw json.RawMessage) Handler {
	h := &API{At: at, Server: p.server}
	p.apis = append(p.apis, h)
	p.fail(at, json.Unmarshal(raw, h))
	if len(h.Methods) == 0 {
		h.Methods = knownMethods
	}
	h.strips = p.strips(h.Strip)
	var inside struct {
		Routes []rawRoute `json:"routes"`
	}
	p.fail(at, json.Unmarshal(raw, &inside))
	outer := p.api
	p.api = h
	h.Routes = p.routes(at+"/routes", inside.Routes)
	p.api = outer
	return h
}

// strips gives what an API takes away; most take the same.
func (p *parser) strips(more []string) *identity.List {
	if c := p.config.Tollgate.ClientCertificate; c != nil {
		more = append(slices.Clone(more), c.Header)
	}
	key := strings.Join(more, " ")
	if list, ok := p.config.strips[key]; ok {
		return list
	}
	list, _ := identity.New(more...) // a bad name does not load
	p.config.strips[key] = list
	return list
}

func (h *API) String() string    { return "api " + h.Name }
func (h *API) inner() [][]*Route { return [][]*Route{h.Routes} }

// AccessToken is the door of an API.
type AccessToken struct {
	At        string
	Issuers   []string `json:"issuers"`
	Audiences []string `json:"audiences"`
	Trust     []Trust  `json:"-"`
	API       *API     `json:"-"`
}

func (h *AccessToken) String() string { return "access_token" }

// Require is what a token has to be like.
type Require struct {
	At                   string
	Scopes               []string            `json:"scopes"`
	Claims               map[string][]string `json:"claims"`
	SenderConstrained    bool                `json:"sender_constrained"`
	DPoP                 bool                `json:"dpop"`
	MTLS                 bool                `json:"mtls"`
	ACR                  []string            `json:"acr"`
	MaxAge               Duration            `json:"max_age"`
	AuthorizationDetails []string            `json:"authorization_details"`
}

func (h *Require) String() string {
	parts := []string{"require"}
	add := func(name string, values ...string) {
		parts = append(parts, strings.TrimSpace(name+" "+strings.Join(values, " ")))
	}
	if len(h.Scopes) > 0 {
		add("scope", h.Scopes...)
	}
	for _, name := range slices.Sorted(maps.Keys(h.Claims)) {
		add("claim "+name, h.Claims[name]...)
	}
	if h.SenderConstrained {
		add("sender_constrained")
	}
	if h.DPoP {
		add("dpop")
	}
	if h.MTLS {
		add("mtls")
	}
	if len(h.ACR) > 0 {
		add("acr", h.ACR...)
	}
	if h.MaxAge > 0 {
		add("max_age", time.Duration(h.MaxAge).String())
	}
	if len(h.AuthorizationDetails) > 0 {
		add("authorization_details", h.AuthorizationDetails...)
	}
	return strings.Join(parts, " ")
}

// StaticError raises an error.
type StaticError struct {
	At     string
	Status json.RawMessage `json:"status_code"`
	// Message is told by {http.error.message} alone.
	Message string `json:"error"`
}

func (h *StaticError) String() string { return "error " + strings.Trim(string(h.Status), `"`) }

// Headers changes the fields of requests, and of answers.
type Headers struct {
	At       string
	Request  *fieldChanges   `json:"request"`
	Response json.RawMessage `json:"response"`

	answer string // what is done to the answer's, as it is written; empty: nothing
	late   bool   // when it is given
}

// answerText is equal for what means the same.
func answerText(raw json.RawMessage) string {
	if text := canonicalJSON(raw); text != "null" && text != "{}" {
		return text
	}
	return ""
}

// isLate says whether Caddy changes the fields when the answer is given, and of an answer
// alone: of none that is given to an error (caddyhttp/headers).
func isLate(raw json.RawMessage) bool {
	var how struct {
		Deferred bool            `json:"deferred"`
		Require  json.RawMessage `json:"require"`
	}
	_ = json.Unmarshal(raw, &how) // was read before
	return how.Deferred || len(how.Require) > 0 && string(how.Require) != "null"
}

func (h *Headers) String() string { return "header" }

// Invoke runs a named route.
type Invoke struct {
	At   string
	Name string `json:"name"`
}

func (h *Invoke) String() string { return "invoke " + h.Name }

// Steers hands on, and changes what decides after it: whose address or identity that is.
type Steers struct{ At, What string }

func (h *Steers) String() string { return h.What + " of what decides (not analysed)" }

// Unknown is one whose meaning is not known here.
type Unknown struct{ At, What string }

func (h *Unknown) String() string { return h.What + " (not analysed)" }
