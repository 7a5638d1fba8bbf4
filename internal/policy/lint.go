package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Severity is how bad a finding is.
type Severity string

// The severities, the worst first.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Note    Severity = "note"
)

// Check is one rule of the lint.
type Check struct {
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	Summary  string   `json:"summary"`
	Why      string   `json:"why"`
	Cure     string   `json:"cure"`

	find func(*linter)
}

// Finding is one place that a check does not like.
type Finding struct {
	Check    string   `json:"check"`
	Severity Severity `json:"severity"`
	API      string   `json:"api,omitempty"`
	At       string   `json:"at"`
	Message  string   `json:"message"`
	Cure     string   `json:"cure"`
	// Suppressed is the reason that somebody gave.
	Suppressed string `json:"suppressed,omitempty"`
}

// linter holds what checks look at.
type linter struct {
	config   *Config
	options  LintOptions
	rules    []*Rule
	said     []saying
	check    *Check
	findings []Finding
	seen     map[string]bool
}

// Lint gives what the checks find, the worst first.
func Lint(c *Config, options LintOptions) []Finding {
	l := &linter{config: c, options: options, seen: make(map[string]bool)}
	l.rules = c.rulesBy(l.hear)
	checks := Checks()
	for n := range checks {
		if l.check = &checks[n]; !slices.Contains(options.Disable, l.check.ID) {
			l.check.find(l)
		}
	}
	for n := range options.Rules {
		options.Rules[n].run(l)
	}
	slices.SortStableFunc(l.findings, func(a, b Finding) int {
		return cmp.Or(a.Severity.rank()-b.Severity.rank(), strings.Compare(a.API, b.API))
	})
	return l.findings
}

// Known says whether there is such a severity.
func (s Severity) Known() bool { return s.rank() >= 0 }

func (s Severity) rank() int { return slices.Index([]Severity{Error, Warning, Note}, s) }

// found notes a finding, once.
func (l *linter) found(api, at, format string, args ...any) {
	f := Finding{Check: l.check.ID, Severity: l.check.Severity, API: api, At: at, Message: fmt.Sprintf(format, args...), Cure: l.check.Cure}
	key := f.Check + f.API + f.At + f.Message
	if !l.seen[key] {
		l.seen[key] = true
		l.findings = append(l.findings, f)
	}
}

// each calls f for each rule that leads to something.
func (l *linter) each(f func(*Rule)) {
	for _, r := range l.rules {
		if r.Reaches() {
			f(r)
		}
	}
}

// isMoney says whether a rule can move money: it writes, and a path, a scope or the name
// of its API has one of the words for it.
func (l *linter) isMoney(r *Rule) bool {
	if !r.leads() || !r.Writes() || r.Public {
		return false
	}
	text := strings.ToLower(strings.Join(r.Paths, " ") + " " + r.API)
	for _, c := range r.requires {
		text += " " + strings.ToLower(strings.Join(c.what.Scopes, " "))
	}
	return slices.ContainsFunc(l.options.money(), func(word string) bool { return strings.Contains(text, word) })
}

// leads says whether the rule hands requests to what is not part of the configuration: a
// service, or a handler that nobody here knows.
func (r *Rule) leads() bool { return r.Kind == Forwarded || r.unknown }

// whenever says whether all requests meet the conditions that can change something; where
// none can, all.
func (r *Rule) whenever(c conditions) bool {
	methods := r.writes()
	if len(methods) == 0 && len(r.sentAs) == 0 {
		methods = r.Methods
	}
	return r.meets(c, methods)
}

// scopes gives those that the rule asks for always.
func (r *Rule) scopes() (all []string) {
	for _, c := range r.requires {
		if r.whenever(c.when) {
			all = append(all, c.what.Scopes...)
		}
	}
	return all
}

// bound says whether nothing passes but tokens that are bound to their sender.
func (r *Rule) bound() bool {
	if len(r.Token) > 0 && !slices.ContainsFunc(r.Token, func(t Trust) bool { return !t.Bound }) {
		return true
	}
	return slices.ContainsFunc(r.requires, func(c conditional[*Require]) bool {
		return (c.what.SenderConstrained || c.what.DPoP || c.what.MTLS) && r.whenever(c.when)
	})
}

// limited says whether a zone counts all requests of the rule, and refuses.
func (r *Rule) limited() bool {
	methods := r.Methods
	if len(r.sentAs) > 0 {
		methods = nil
	}
	return slices.ContainsFunc(r.zones, func(c conditional[zoneOf]) bool {
		return !c.what.zone.Shadow && !c.what.zone.passesBy(r) && r.meets(c.when, methods)
	})
}

// Milder says whether it is not as bad as the other.
func (s Severity) Milder(than Severity) bool { return s.rank() > than.rank() }
