package policy

import (
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/open-tollgate/tollgate/internal/printable"
)

// LintOptions are what a site says about its lint: rules of its own, and what it puts up with.
type LintOptions struct {
	// Disable switches checks off.
	Disable []string `yaml:"disable"`
	// Money are the words by which a route is one that moves money.
	Money []string `yaml:"money"`
	// Suppress names findings that somebody has judged.
	Suppress []Suppression `yaml:"suppress"`
	// Rules are the site's own.
	Rules []SiteRule `yaml:"rules"`
}

// Suppression puts up with a finding until a day, for a reason.
type Suppression struct {
	Check   string `yaml:"check"`
	API     string `yaml:"api"`   // empty: any; * is a wildcard
	Match   string `yaml:"match"` // a part of the message; empty: any
	Reason  string `yaml:"reason"`
	Expires string `yaml:"expires"` // 2027-03-31
}

// SiteRule is a check of the site's own: what APIs of some names have to have.
type SiteRule struct {
	ID       string   `yaml:"id"`
	Severity Severity `yaml:"severity"`
	Summary  string   `yaml:"summary"`
	Cure     string   `yaml:"cure"`
	APIs     string   `yaml:"apis"` // * is a wildcard
	Require  struct {
		SenderConstrained bool     `yaml:"sender_constrained"`
		Limit             bool     `yaml:"limit"`
		NotPublic         bool     `yaml:"not_public"`
		Scopes            []string `yaml:"scopes"`
		Methods           []string `yaml:"methods"` // no others
		Audit             string   `yaml:"audit"`
	} `yaml:"require"`
}

var defaultMoney = []string{"payment", "transfer", "payout", "refund"}

func (o *LintOptions) money() []string {
	if len(o.Money) > 0 {
		return o.Money
	}
	return defaultMoney
}

// Check says what is wrong with the options.
func (o *LintOptions) Check() error {
	known := make(map[string]bool)
	for _, c := range Checks() {
		known[c.ID] = true
	}
	for n := range o.Rules {
		r := &o.Rules[n]
		if r.ID == "" || known[r.ID] || r.Severity.rank() < 0 {
			return fmt.Errorf("rule %q: it needs an id of its own, and a severity of error, warning or note", r.ID)
		}
		known[r.ID] = true
		if err := r.check(); err != nil {
			return fmt.Errorf("rule %s: %w", r.ID, err)
		}
	}
	for _, id := range o.Disable {
		if !known[id] {
			return fmt.Errorf("disable: there is no check %q", id)
		}
	}
	for _, s := range o.Suppress {
		if !known[s.Check] {
			return fmt.Errorf("suppress: there is no check %q", s.Check)
		}
		if strings.TrimSpace(s.Reason) == "" {
			return fmt.Errorf("suppress %s: it needs a reason", s.Check)
		}
		if _, err := path.Match(s.API, ""); err != nil {
			return fmt.Errorf("suppress %s: api %q is not a pattern", s.Check, s.API)
		}
		if _, err := time.Parse(time.DateOnly, s.Expires); err != nil {
			return fmt.Errorf("suppress %s: expires %q is not a day like 2027-03-31", s.Check, s.Expires)
		}
	}
	return nil
}

// check says what would make the rule find nothing, whatever there is.
func (r *SiteRule) check() error {
	if _, err := path.Match(r.APIs, ""); err != nil {
		return fmt.Errorf("apis %q is not a pattern", r.APIs)
	}
	must := &r.Require
	if !must.SenderConstrained && !must.Limit && !must.NotPublic && len(must.Scopes)+len(must.Methods) == 0 && must.Audit == "" {
		return errors.New("require asks for nothing")
	}
	if must.Audit != "" && !slices.Contains([]string{"off", "on", "required"}, must.Audit) {
		return fmt.Errorf("audit %q is not off, on or required", must.Audit)
	}
	return nil
}

// Idle gives the site's rules that no API of the configuration is for.
func (o *LintOptions) Idle(c *Config) (idle []SiteRule) {
	for _, r := range o.Rules {
		if !slices.ContainsFunc(c.APIs(), func(api *API) bool { return wild(r.APIs, api.Name) }) {
			idle = append(idle, r)
		}
	}
	return idle
}

// Apply marks findings that are put up with. It gives the suppressions that are over, and
// those that nothing is found for.
func (o *LintOptions) Apply(findings []Finding, now time.Time) (expired, unused []Suppression) {
	for _, s := range o.Suppress {
		end, err := time.Parse(time.DateOnly, s.Expires)
		over := err != nil || !now.Before(end.AddDate(0, 0, 1))
		used := false
		for n := range findings {
			f := &findings[n]
			if f.Check != s.Check || !wild(s.API, f.API) || !strings.Contains(f.Message, s.Match) {
				continue
			}
			used = true
			if !over {
				f.Suppressed = s.Reason + " (until " + s.Expires + ")"
			}
		}
		switch {
		case over:
			expired = append(expired, s)
		case !used:
			unused = append(unused, s)
		}
	}
	return expired, unused
}

func wild(pattern, name string) bool {
	if pattern == "" {
		return true
	}
	matches, err := path.Match(pattern, name)
	return err == nil && matches
}

func (r *SiteRule) run(l *linter) {
	l.check = &Check{ID: r.ID, Severity: r.Severity, Summary: r.Summary, Cure: r.Cure}
	for _, api := range l.config.APIs() {
		if !wild(r.APIs, api.Name) {
			continue
		}
		if r.Require.NotPublic && api.Public {
			l.found(api.Name, api.At, "%s: it is public", r.Summary)
		}
		if audit := l.config.auditOf(api); r.Require.Audit != "" && audit != r.Require.Audit && !(r.Require.Audit == "on" && audit == "required") {
			l.found(api.Name, api.At, "%s: audit is not %s", r.Summary, r.Require.Audit)
		}
	}
	l.each(func(rule *Rule) {
		if rule.API == "" || !wild(r.APIs, rule.API) {
			return
		}
		r.judge(l, rule)
	})
}

func (r *SiteRule) judge(l *linter, rule *Rule) {
	if r.Require.SenderConstrained && !rule.bound() {
		l.found(rule.API, rule.At, "%s: %s is not sender-constrained", r.Summary, rule.Where())
	}
	if r.Require.Limit && !rule.limited() {
		l.found(rule.API, rule.At, "%s: %s has no limit", r.Summary, rule.Where())
	}
	for _, scope := range r.Require.Scopes {
		if !slices.Contains(rule.scopes(), scope) {
			l.found(rule.API, rule.At, "%s: %s does not need scope %s", r.Summary, rule.Where(), scope)
		}
	}
	if len(r.Require.Methods) > 0 {
		for _, method := range rule.Methods {
			if !slices.Contains(r.Require.Methods, method) {
				l.found(rule.API, rule.At, "%s: %s allows %s", r.Summary, rule.Where(), method)
			}
		}
	}
}

// WriteFindings writes them for people.
func WriteFindings(w io.Writer, findings []Finding, verbose bool) error {
	var b strings.Builder
	for _, f := range findings {
		api := ""
		if f.API != "" {
			api = "api " + f.API + ": "
		}
		switch {
		case f.Suppressed == "":
			printable.Fprintf(&b, "%s %s: %s%s\n    at %s\n    cure: %s\n", f.Severity, f.Check, api, f.Message, f.At, f.Cure)
		case verbose:
			printable.Fprintf(&b, "suppressed %s: %s%s: %s\n", f.Check, api, f.Message, f.Suppressed)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
