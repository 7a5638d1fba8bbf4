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

// ReloadGuard refuses to load what lets more through than what runs, unless it is named.
// The guard of the configuration that runs is what counts, so no configuration can be
// loaded that switches it off unnamed.
type ReloadGuard struct {
	// Off switches it off, which is wider itself.
	Off bool `json:"off,omitempty"`
	// Allow are hashes of policies that may be wider than the one before them. It is the
	// new configuration that says so of itself.
	Allow []string `json:"allow,omitempty"`
}

// check holds the hashes to their form, so that a slip of the pen is found early.
func (g *ReloadGuard) check() error {
	if g == nil {
		return nil
	}
	for _, hash := range g.Allow {
		if len(hash) != 32 || strings.Trim(hash, "0123456789abcdef") != "" {
			return fmt.Errorf("reload_guard: allow %q is not the hash of a policy, 32 hexadecimal digits", hash)
		}
	}
	return nil
}

// parseReloadGuard reads: reload_guard [off] { allow <hash>... }.
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
		if d.Val() != "allow" {
			return d.Errf("reload_guard: unknown option %q", d.Val())
		}
		if err := parseList(d, &a.ReloadGuard.Allow); err != nil {
			return err
		}
		if err := a.ReloadGuard.check(); err != nil {
			return d.WrapErr(err)
		}
	}
	return nil
}

// guard refuses what is being loaded where the app that runs has a guard, and the new
// policy is wider, or cannot be seen not to be.
func guard(next *loaded) error {
	running := newest.Load()
	if next.judged || running == nil || running.ReloadGuard == nil || running.ReloadGuard.Off {
		return nil
	}
	next.judged = true
	err := running.holds(next)
	if err == nil {
		return nil
	}
	refusedReloads.Inc()
	err = fmt.Errorf("reload_guard: %w", err)
	policyLogger().Error("a configuration is refused", "policy", running.PolicyHash(), "refused_policy", next.name(), "error", err)
	if running.auditLog != nil {
		running.auditLog.Append(auditlog.Record{Kind: auditlog.KindConfig, Policy: next.name(), Previous: running.PolicyHash(),
			Outcome: "refused", Reason: "policy_widened", Detail: err.Error()})
	}
	return err
}

func (l *loaded) name() string {
	if l.hash == "" {
		return unknownPolicy
	}
	return l.hash
}

var errUnread = errors.New("what could not be analysed counts as wider")

// holds says why a policy may not follow that of this app.
func (a *App) holds(next *loaded) error {
	if next.err != nil {
		return fmt.Errorf("the new configuration could not be read: %w: %w", next.err, errUnread)
	}
	if next.hash == a.policy.hash {
		return nil
	}
	is, err := next.model()
	if err != nil {
		return fmt.Errorf("the new configuration could not be read: %w: %w", err, errUnread)
	}
	if is.Tollgate.Guard.Names(next.hash) {
		policyLogger().Warn("a policy may be wider: reload_guard names it", "policy", next.hash)
		return nil
	}
	d, err := compare(context.Background(), a.policy, next, runtime.GOMAXPROCS(0))
	if err != nil {
		return fmt.Errorf("what runs could not be compared: %w: %w", err, errUnread)
	}
	next.changes = d
	if !d.Opens() {
		return nil
	}
	return fmt.Errorf("access is wider than before, and the old configuration goes on: %s. If that is meant, write into the new configuration's reload_guard: allow %s",
		strings.Join(widened(d), "; "), next.hash)
}

// toldAtOnce is how many changes an error names.
const toldAtOnce = 5

// widened tells what is wider, with examples.
func widened(d *policy.DiffResult) []string {
	var all []string
	for _, c := range d.Changes {
		if c.Direction == policy.Widened {
			all = append(all, c.Brief())
		}
	}
	return few(append(all, d.BriefOpen()...))
}

func few(all []string) []string {
	if more := len(all) - toldAtOnce; more > 0 {
		return append(all[:toldAtOnce], fmt.Sprintf("and %d more", more))
	}
	return all
}
