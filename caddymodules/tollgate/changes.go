package tollgate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap/exp/zapslog"

	"github.com/open-tollgate/tollgate/internal/auditlog"
	"github.com/open-tollgate/tollgate/internal/policy"
)

var (
	policyChanges = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tollgate_policy_changes_total",
		Help: "What reloads have changed of what is let through, by direction.",
	}, []string{"direction"})
	refusedReloads = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "tollgate_reloads_refused_total",
		Help: "Configurations that reload_guard did not let in.",
	})
)

// notAnalysed is the direction of what could not be compared.
const notAnalysed = "not_analysed"

func init() {
	for _, direction := range []string{string(policy.Widened), string(policy.Narrowed), string(policy.Moved), notAnalysed} {
		policyChanges.WithLabelValues(direction)
	}
}

const policyLog = "tollgate.policy"

func policyLogger() *slog.Logger { return sharedLogger(policyLog) }

// policyLogger logs as this app's configuration says: while another one is loaded, Caddy's
// default log is already that one's, and stays so if it is refused.
func (a *App) policyLogger() *slog.Logger {
	return slog.New(zapslog.NewHandler(a.logger.Core(), zapslog.WithName(policyLog), zapslog.AddStacktraceAt(noStack)))
}

// recordPolicy records which policy holds from now on, and, beside the reload, what it
// opens and closes. Reloads wait for nothing of it, and requests for half of the cores.
func (a *App) recordPolicy(ctx context.Context, before *App) {
	r := auditlog.Record{Kind: auditlog.KindConfig, Policy: a.PolicyHash(), Detail: "the first policy of this process"}
	if err := a.startsAgain(); err != nil {
		policyLogger().Warn("a restart would not load this configuration", "error", err)
	}
	if a.policy.err != nil {
		policyLogger().Error("the policy could not be read: its hash is not known", "error", a.policy.err)
	}
	if before == nil {
		a.record(r)
		return
	}
	r.Previous, r.Detail = before.PolicyHash(), "what it changes follows"
	if a.policy.hash != "" && a.policy.hash == before.policy.hash {
		r.Detail = "the policy is the same"
		a.record(r)
		return
	}
	a.record(r)
	go a.recordChanges(ctx, before.policy)
}

func (a *App) record(r auditlog.Record) {
	if a.auditLog != nil {
		a.auditLog.Append(r)
	}
}

// maxRecorded bounds how many changes are told one by one.
const maxRecorded = 100

func (a *App) recordChanges(ctx context.Context, before *loaded) {
	d, interrupted := a.policy.changes, false // by the guard
	if d == nil {
		var err error
		if d, err = compare(ctx, before, a.policy, 1); err != nil {
			d = &policy.DiffResult{Cut: []string{"all: " + err.Error()}}
		}
		interrupted = ctx.Err() != nil
	}
	if errors.Is(context.Cause(ctx), errFailed) {
		return // nothing has changed
	}
	log := policyLogger().With("previous_policy", before.name(), "policy", a.PolicyHash())
	counts := make(map[policy.Direction]int)
	for n, c := range d.Changes {
		counts[c.Direction]++
		policyChanges.WithLabelValues(string(c.Direction)).Inc()
		if n >= maxRecorded {
			continue
		}
		level := slog.LevelInfo
		if c.Direction == policy.Widened {
			level = slog.LevelWarn
		}
		log.Log(ctx, level, "access is "+string(c.Direction), "api", c.API, "change", c.Brief())
		a.recordChange(before, c.API, string(c.Direction), c.Brief())
	}
	if !d.Complete {
		policyChanges.WithLabelValues(notAnalysed).Inc()
		text := "not all could be compared, and what was not may be wider"
		if interrupted {
			text = "the comparison was interrupted by the next reload, or the end of the edge, and what was not compared may be wider"
		}
		text += ": " + strings.Join(few(d.BriefOpen()), "; ")
		log.Warn("access may be widened", "change", text)
		a.recordChange(before, "", notAnalysed, text)
	}
	summary := fmt.Sprintf("%d widened, %d narrowed, %d moved", counts[policy.Widened], counts[policy.Narrowed], counts[policy.Moved])
	if !d.Complete {
		summary = "not complete, at least: " + summary
	}
	log.Info("the policy has changed", "widened", counts[policy.Widened], "narrowed", counts[policy.Narrowed], "moved", counts[policy.Moved], "complete", d.Complete)
	a.recordChange(before, "", "summary", summary)
}

func (a *App) recordChange(before *loaded, api, outcome, detail string) {
	a.record(auditlog.Record{Kind: auditlog.KindChange, Policy: a.PolicyHash(), Previous: before.name(), API: api, Outcome: outcome, Detail: detail})
}
