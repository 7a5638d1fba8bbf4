package policy

import (
	"encoding/json"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/open-tollgate/tollgate/internal/printable"
)

// Report is what a configuration exposes, for people and machines.
type Report struct {
	Schema  string      `json:"schema"`
	Policy  string      `json:"policy"` // its hash, as logs have it
	APIs    []APIReport `json:"apis"`
	Public  []*Rule     `json:"public"`  // rules that anybody reaches, in any API
	Outside []*Rule     `json:"outside"` // rules of no API: no policy holds there
	Open    []string    `json:"open"`    // what could not be analysed, and counts as open
	Edge    EdgeReport  `json:"edge"`
}

// ReportSchema names the form of the JSON.
const ReportSchema = "urn:tollgate:policy-report:1"

// APIReport is one API.
type APIReport struct {
	Name     string   `json:"name"`
	Public   bool     `json:"public"`
	Profile  string   `json:"profile,omitempty"`
	Resource string   `json:"resource,omitempty"`
	Methods  []string `json:"methods"`
	Token    []Trust  `json:"token,omitempty"`
	Audit    string   `json:"audit"`
	Logged   bool     `json:"logged"` // in the access log
	Rules    []*Rule  `json:"rules"`
	// May says how else the edge may answer, for what no configuration tells.
	May []string `json:"may_also,omitempty"`
}

// EdgeReport is what holds for all.
type EdgeReport struct {
	Listen  []string `json:"listen"`
	Admin   string   `json:"admin"`
	Origins []string `json:"origins,omitempty"`
	Redis   bool     `json:"redis"`
	Audit   bool     `json:"audit"`
}

// NewReport makes the report of a configuration.
func NewReport(c *Config) *Report {
	r := &Report{Schema: ReportSchema, Policy: c.Hash, APIs: []APIReport{}, Public: []*Rule{}, Outside: []*Rule{}, Open: []string{}}
	rules := c.Rules()
	of := make(map[string][]*Rule)
	for _, rule := range rules {
		r.Open = append(r.Open, rule.Open...)
		if rule.API == "" {
			r.Outside = append(r.Outside, rule)
			continue
		}
		of[rule.API] = append(of[rule.API], rule)
		if rule.Public && rule.Reaches() {
			r.Public = append(r.Public, rule)
		}
	}
	for _, api := range c.APIs() {
		r.APIs = append(r.APIs, c.reportAPI(api, of[api.Name]))
	}
	r.Open = unique(r.Open)
	if r.Open == nil {
		r.Open = []string{}
	}
	r.Edge = EdgeReport{Admin: c.Admin.where(), Origins: c.Tollgate.Origins, Redis: c.Tollgate.HasRedis(), Audit: c.Tollgate.Audit != nil, Listen: []string{}}
	for _, s := range c.Servers {
		r.Edge.Listen = append(r.Edge.Listen, s.Listen...)
	}
	if c.Redirects != nil {
		r.Edge.Listen = append(r.Edge.Listen, c.Redirects.Listen...)
	}
	return r
}

func (c *Config) reportAPI(api *API, rules []*Rule) APIReport {
	a := APIReport{Name: api.Name, Public: api.Public, Profile: api.Profile, Resource: api.Resource, Methods: api.Methods, Rules: rules, Audit: c.auditOf(api), Logged: api.Server.AccessLog}
	var tokens *AccessToken
	var zones []*Zone
	forwards := false
	VisitRoutes(api.Routes, func(h Handler) {
		switch h := h.(type) {
		case *AccessToken:
			a.Token, tokens = h.Trust, h
		case *RateLimit:
			zones = append(zones, h.Zones...)
		case *Proxy:
			forwards = true
		}
	})
	a.May = c.mayAlso(api, tokens, zones, forwards, api.limitsBody())
	return a
}

// auditOf says whether decisions of an API are recorded: off, on or required.
func (c *Config) auditOf(api *API) string {
	if api.Audit != "" {
		return api.Audit
	}
	return onOff(c.Tollgate.Audit != nil)
}

// WriteJSON writes the report as its schema has it.
func (r *Report) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(r)
}

// WriteText writes the report as tables.
func (r *Report) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	printable.Fprintf(t, "Policy %s\n", r.Policy)
	for _, a := range r.APIs {
		printable.Fprintf(t, "\nAPI %s\t%s\n", a.Name, a.Who())
		printable.Fprintf(t, "  methods %s, audit log %s, access log %s\n", strings.Join(a.Methods, " "), a.Audit, onOff(a.Logged))
		writeRules(t, a.Rules)
		for _, may := range a.May {
			printable.Fprintf(t, "  may also answer %s\n", may)
		}
	}
	printable.Fprintf(t, "\nPublic: what anybody reaches (%d)\n", len(r.Public))
	writeRules(t, r.Public)
	printable.Fprintf(t, "\nOutside any API: no policy holds here (%d)\n", len(r.Outside))
	writeRules(t, r.Outside)
	printable.Fprintf(t, "\nNot analysed, and counted as open (%d)\n", len(r.Open))
	for _, text := range r.Open {
		printable.Fprintf(t, "  %s\n", text)
	}
	printable.Fprintf(t, "\nListens on %s. Admin API: %s. Limits are counted in %s. Audit log: %s.\n",
		strings.Join(r.Edge.Listen, " "), r.Edge.Admin, memory(r.Edge.Redis), onOff(r.Edge.Audit))
	return t.Flush()
}

func memory(redis bool) string {
	if redis {
		return "Redis, for all nodes together"
	}
	return "each node's memory"
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// Who says whose tokens an API takes.
func (a *APIReport) Who() string {
	if a.Public {
		return "public: no token is asked for"
	}
	var parts []string
	for _, t := range a.Token {
		parts = append(parts, t.String())
	}
	return strings.Join(parts, "; ")
}

// String is the trust in words.
func (t Trust) String() string {
	text := "tokens of " + t.Issuer + " for " + strings.Join(t.Audiences, " or ")
	if len(t.Algorithms) > 0 {
		text += ", " + strings.Join(t.Algorithms, " ")
	}
	if t.Opaque {
		text += ", opaque ones as well"
	}
	if t.Bound {
		text += ", bound to their sender"
	}
	return text
}

func writeRules(w io.Writer, rules []*Rule) {
	for _, r := range rules {
		printable.Fprintf(w, "  %s\t%s\t%s\n", anyOr(r.Methods), r.Where(), r.Target)
		for _, line := range slices.Concat(prefixed("needs ", r.Requires), prefixed("limit ", r.Limits), prefixed("not analysed: ", r.Open)) {
			printable.Fprintf(w, "  \t    %s\t\n", line)
		}
	}
}

func prefixed(prefix string, texts []string) []string {
	all := make([]string, len(texts))
	for n, t := range texts {
		all[n] = prefix + t
	}
	return all
}

func anyOr(values []string) string {
	if len(values) == 0 {
		return "any"
	}
	return strings.Join(values, " ")
}

// Where says which hosts and paths the rule is for.
func (r *Rule) Where() string {
	text := strings.Join(r.Paths, " and ")
	if text == "" {
		text = "any path"
	}
	if len(r.Match) > 0 {
		text += " " + strings.Join(r.Match, " ")
	}
	if len(r.Hosts) > 0 {
		text = strings.Join(r.Hosts, " ") + " " + text
	}
	if r.Errors {
		text += " (after an error)"
	}
	return text
}
