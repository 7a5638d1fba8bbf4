package tollgate

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/open-tollgate/tollgate/internal/auditlog"
	"github.com/open-tollgate/tollgate/internal/policy"
)

// ReloadGuard refuses to load what lets more through than what runs, or sends requests
// elsewhere, unless it is named.
// The guard of the configuration that runs is what counts, so no configuration can be
// loaded that switches it off unnamed.
type ReloadGuard struct {
	// Off switches it off, which is wider itself.
	Off bool `json:"off,omitempty"`
	// Allow are hashes of policies that may be wider than the one before them. It is the
	// new configuration that says so of itself.
	Allow []string `json:"allow,omitempty"`
	// AllowMoved lets requests go to another service unnamed.
	AllowMoved bool `json:"allow_moved,omitempty"`
	// Baseline is a file with the hash of the policy that a process may start with; any
	// when empty.
	Baseline string `json:"baseline,omitempty"`
}

// check holds the hashes to their form, so that a slip of the pen is found early.
func (g *ReloadGuard) check() error {
	if g == nil {
		return nil
	}
	for _, hash := range g.Allow {
		if !isHash(hash) {
			return fmt.Errorf("reload_guard: allow %q is not the hash of a policy, 32 hexadecimal digits", hash)
		}
	}
	return nil
}

func isHash(text string) bool {
	return len(text) == 32 && strings.Trim(text, "0123456789abcdef") == ""
}

// parseReloadGuard reads: reload_guard [off] { allow <hash>...; allow_moved; baseline <file> }.
func (a *App) parseReloadGuard(d *caddyfile.Dispenser) error {
	if a.ReloadGuard != nil {
		return d.Err("reload_guard is there twice")
	}
	a.ReloadGuard = new(ReloadGuard)
	if d.NextArg() {
		if d.Val() != "off" || d.NextArg() {
			return d.Errf("reload_guard is off or a block, and not %q", d.Val())
		}
		a.ReloadGuard.Off = true
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := a.ReloadGuard.parseOption(d); err != nil {
			return err
		}
	}
	return nil
}

func (g *ReloadGuard) parseOption(d *caddyfile.Dispenser) error {
	switch d.Val() {
	case "allow":
		if err := parseList(d, &g.Allow); err != nil {
			return err
		}
		if err := g.check(); err != nil {
			return d.WrapErr(err)
		}
		return nil
	case "allow_moved":
		g.AllowMoved = true
		if d.NextArg() {
			return d.ArgErr()
		}
		return nil
	case "baseline":
		if g.Baseline != "" {
			return d.Err("reload_guard: baseline is there twice")
		}
		if !d.AllArgs(&g.Baseline) {
			return d.ArgErr()
		}
		return nil
	default:
		return d.Errf("reload_guard: unknown option %q", d.Val())
	}
}

// on says whether the guard looks at what follows.
func (g *ReloadGuard) on() bool { return g != nil && !g.Off }

// guard refuses what is being loaded where the app that runs has a guard, and the new
// policy is wider, or cannot be seen not to be.
func guard(next *loaded) error {
	running := newest.Load()
	if next.judged || running == nil || !running.ReloadGuard.on() {
		return nil
	}
	next.judged = true
	reason, err := running.holds(next)
	if err == nil {
		return nil
	}
	refusedReloads.Inc()
	err = fmt.Errorf("reload_guard: %w", err)
	running.policyLogger().Error("a configuration is refused", "policy", running.PolicyHash(), "refused_policy", next.name(), "error", err)
	running.record(auditlog.Record{Kind: auditlog.KindConfig, Policy: next.name(), Previous: running.PolicyHash(),
		Outcome: "refused", Reason: reason, Detail: err.Error()})
	return err
}

func (l *loaded) name() string {
	if l.hash == "" {
		return unknownPolicy
	}
	return l.hash
}

var errUnread = errors.New("what could not be analysed counts as wider")

// The reasons of a refusal in the audit log.
const (
	policyWidened = "policy_widened"
	policyMoved   = "policy_moved"
)

// spare is how many cores are for requests while a reload is judged, where there are as many.
const spare = 1

// holds says why a policy may not follow that of this app.
func (a *App) holds(next *loaded) (reason string, err error) {
	if next.err != nil {
		return policyWidened, fmt.Errorf("the new configuration could not be read: %w: %w", next.err, errUnread)
	}
	if next.hash == a.policy.hash {
		return "", nil
	}
	is, err := next.model()
	if err != nil {
		return policyWidened, fmt.Errorf("the new configuration could not be read: %w: %w", err, errUnread)
	}
	if is.Tollgate.Guard.Names(next.hash) {
		policyLogger().Warn("a policy may be wider: reload_guard names it", "policy", next.hash)
		return "", nil
	}
	d, err := compare(context.Background(), a.policy, next, max(1, runtime.GOMAXPROCS(0)-spare))
	if err != nil {
		return policyWidened, fmt.Errorf("what runs could not be compared: %w: %w", err, errUnread)
	}
	next.changes = d
	what, reason := "access is wider than before", policyWidened
	if !d.Opens() {
		what, reason = "requests go elsewhere than before", policyMoved
	}
	all := append(briefs(d, policy.Widened), d.BriefOpen()...)
	if !a.ReloadGuard.AllowMoved {
		all = append(all, briefs(d, policy.Moved)...)
	}
	if len(all) == 0 {
		return "", nil
	}
	return reason, fmt.Errorf("%s, and the old configuration goes on%s: %s. If that is meant, %s",
		what, counts(d), strings.Join(few(all), "; "), d.Allow.Advice())
}

// counts sums up what an error does not name one by one.
func counts(d *policy.DiffResult) string {
	if len(d.Changes) == 0 {
		return ""
	}
	return ", " + d.Counts()
}

// toldAtOnce is how many changes an error names.
const toldAtOnce = 5

// briefs tells what is changed in a direction, with examples.
func briefs(d *policy.DiffResult, direction policy.Direction) []string {
	var all []string
	for _, c := range d.Changes {
		if c.Direction == direction {
			all = append(all, c.Brief())
		}
	}
	return all
}

func few(all []string) []string {
	if more := len(all) - toldAtOnce; more > 0 {
		return append(all[:toldAtOnce], fmt.Sprintf("and %d more", more))
	}
	return all
}
