// Package tollgate is the Caddy app that the handlers share: the issuers and their
// keys, the memory of verified tokens and of DPoP proofs, and the Redis client.
package tollgate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/caddyserver/caddy/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"github.com/open-tollgate/tollgate/internal/access"
	"github.com/open-tollgate/tollgate/internal/assertion"
	"github.com/open-tollgate/tollgate/internal/auditlog"
	"github.com/open-tollgate/tollgate/internal/dpop"
	"github.com/open-tollgate/tollgate/internal/limit"
	"github.com/open-tollgate/tollgate/internal/redisclient"
	"github.com/open-tollgate/tollgate/internal/revocation"
)

func init() {
	caddy.RegisterModule(new(App))
}

// pingTimeout bounds the one look at Redis when a configuration starts.
const pingTimeout = 5 * time.Second

// App is what all `api` handlers of a configuration share. Nothing of it is
// connected before Start, and all of it outlives a reload that still wants it.
type App struct {
	// RedisURL is where limits and DPoP proofs are shared between edge nodes: redis://,
	// rediss:// or unix://; with master_name for Sentinel; with addr or cluster=true
	// for a cluster. Empty or "off" is this process's memory.
	RedisURL string `json:"redis,omitempty"`
	// Origins are where callers reach this edge, "https://api.example.com": what the htu
	// of a DPoP proof has to start with. Without any, DPoP is refused.
	Origins []string `json:"origins,omitempty"`
	// Issuers are those whose tokens are accepted.
	Issuers []*Issuer `json:"issuers,omitempty"`
	// ClientCertificate is how trusted proxies hand client certificates on. Left out, there
	// are none but those of TLS with this edge.
	ClientCertificate *ClientCertificate `json:"client_certificate,omitempty"`
	// DPoP says what proofs need beyond what they always do; left out, nothing.
	DPoP *DPoP `json:"dpop,omitempty"`
	// Failures limit bad tokens by client address; left out, with the defaults.
	Failures *Failures `json:"failures,omitempty"`
	// Revocations are followed in Redis; left out, with the defaults. Without Redis there
	// are none.
	Revocations *Revocations `json:"revocations,omitempty"`
	// Audit is the log of decisions; none when left out.
	Audit *Audit `json:"audit,omitempty"`

	// Assertion is what services are told of callers with; left out, nothing.
	Assertion *Assertion `json:"assertion,omitempty"`
	// RateLimits say how the edge nodes share their limits; left out, with the defaults.
	RateLimits *RateLimits `json:"rate_limits,omitempty"`
	// ReloadGuard refuses to load a policy that is wider than this one, or leads elsewhere;
	// left out, it is off.
	ReloadGuard *ReloadGuard `json:"reload_guard,omitempty"`

	redis        redis.UniversalClient
	proofs       *dpop.Verifier // nil: no origin, no DPoP
	logger       *zap.Logger
	certificates access.ClientCertificates
	failures     *access.Failures        // nil: not limited
	revocations  *revocation.Follower    // nil: no Redis to follow
	limiter      *limit.Engine           // nil: no rate_limit has asked for it
	cancel       context.CancelCauseFunc // nil: not started, or stopped
	audit        *audit                  // nil: no audit log
	auditLog     *auditlog.Log           // from Start on
	policy       *loaded
	before       atomic.Pointer[App]        // that ran before this one, until it stops
	active       weak.Pointer[caddy.Config] // that Caddy ran when this one was started

	introspectors []asked // of all checkers

	releases []func()
	apis     map[string]string // definition by name

	generation uint64
	world      World                      // nil: the real one
	checkers   map[string]*access.Checker // by API; complete before Start

	resources  resources
	assertions *assertion.Signer // nil: services get the callers' own tokens
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "tollgate", New: func() caddy.Module { return new(App) }}
}

// FromContext gives the app of the configuration that is being provisioned, with
// default settings when the configuration does not mention it.
func FromContext(ctx caddy.Context) (*App, error) {
	module, err := ctx.App("tollgate")
	if err != nil {
		return nil, err
	}
	return module.(*App), nil
}

// ClaimAPI takes a name for an API. A name stands for one policy in metrics and logs,
// so a second API of that name is refused. The same one again is fine: Caddy repeats
// a site's routes for each of its listeners.
func (a *App) ClaimAPI(name, definition string) error {
	if taken, ok := a.apis[name]; ok && taken != definition {
		return fmt.Errorf("api name %q is already in use", name)
	}
	a.apis[name] = definition
	return nil
}

// Redis gives the client, or nil when this process's memory is to be used.
func (a *App) Redis() redis.UniversalClient { return a.redis }

// HasRedis says whether a Redis is configured.
func (a *App) HasRedis() bool { return a.RedisURL != "" && a.RedisURL != redisclient.Off }

// Provision parses. It does not dial.
func (a *App) Provision(ctx caddy.Context) error {
	a.logger, a.world = ctx.Logger(), worldOf(ctx)
	a.generation = generations.Add(1)
	a.apis, a.checkers = make(map[string]string), make(map[string]*access.Checker)
	a.resources.directory = sync.OnceValues(a.newDirectory)
	err := a.ReloadGuard.check()
	if err != nil {
		return err
	}
	a.policy = policyOf(ctx)
	if err := guard(a.policy); err != nil {
		return err
	}
	if err := a.checkBaseline(); err != nil {
		return err
	}
	if a.certificates, err = a.ClientCertificate.settings(); err != nil {
		return err
	}
	if _, err := a.RateLimits.settings(); err != nil {
		return err
	}
	if err := a.provisionRedis(); err != nil {
		return err
	}
	if err := a.provisionRevocations(ctx); err != nil {
		return err
	}
	if err := a.provisionIssuers(); err != nil {
		return err
	}
	if err := a.provisionAssertion(); err != nil {
		return err
	}
	if err := a.provisionProofs(); err != nil {
		return err
	}
	if err := a.provisionFailures(ctx); err != nil {
		return err
	}
	if err := a.provisionAudit(ctx); err != nil {
		return err
	}
	return Register(ctx, keysetCollector{a}, questions, introspectionCollector{a}, policyChanges, refusedReloads)
}

func (a *App) provisionRedis() error {
	if !a.HasRedis() || a.world != nil { // in another world, memory is what nodes share
		return nil
	}
	client, err := loadRedis(a.RedisURL)
	if err != nil {
		return err
	}
	a.redis = client
	a.releases = append(a.releases, func() { a.release(redisClients, a.RedisURL) })
	return nil
}

// Start connects.
func (a *App) Start() error {
	if err := a.startAudit(); err != nil {
		return err
	}
	if err := a.startLimits(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	a.cancel, a.active = cancel, activeConfig()
	a.recordPolicy(ctx, a.takeOver())
	a.warnOfSilence()
	for _, issuer := range a.Issuers {
		if issuer.fetched != nil {
			issuer.fetched.Start(context.Background()) // ends when no configuration wants these keys
		}
	}
	a.prepareIntrospection(ctx)
	if a.revocations != nil {
		a.revocations.Start(context.Background()) // ends when no configuration wants it
	}
	if a.redis != nil {
		go func() {
			ctx, cancel := context.WithTimeout(ctx, pingTimeout)
			defer cancel()
			a.pingRedis(ctx)
		}()
	}
	return nil
}

// Stop ends what belongs to this configuration alone.
func (a *App) Stop() error {
	a.end()
	return nil
}

// errFailed is why a configuration ends that did not start whole.
var errFailed = errors.New("the reload has failed")

// end hands back what Start has taken, and has the configuration before go on as it was if
// this one did not start whole.
func (a *App) end() {
	if a.cancel == nil {
		return
	}
	var cause error
	before, last := a.handBack()
	switch {
	case before != nil:
		cause = errFailed
		before.goOn(a)
	case last && a.active == activeConfig():
		a.record(auditlog.Record{Kind: auditlog.KindConfig, Policy: a.PolicyHash(), Outcome: "failed", Detail: "the configuration did not start"})
	case last && !caddy.Exiting():
		a.gone()
	}
	a.cancel(cause)
	a.cancel = nil
}

// goOn has this app decide again after one that has failed.
func (a *App) goOn(failed *App) {
	if err := a.startLimits(); err != nil {
		a.logger.Error("the limits follow the configuration that has failed", zap.Error(err))
	}
	a.record(auditlog.Record{Kind: auditlog.KindConfig, Policy: a.PolicyHash(), Previous: failed.PolicyHash(), Outcome: "failed",
		Detail: "the new configuration did not start, and the one before goes on"})
}

// gone tells that nothing of Tollgate runs any more, which a guard is not always asked about.
func (a *App) gone() {
	r := auditlog.Record{Kind: auditlog.KindConfig, Previous: a.PolicyHash(), Detail: "a configuration without Tollgate took over, or none"}
	if a.ReloadGuard.on() {
		r.Outcome = "unguarded"
		a.policyLogger().Error("nothing of Tollgate runs any more, and reload_guard was not asked", "policy", a.PolicyHash())
	}
	a.record(r)
}

// Cleanup gives back what was taken from the pools, also after a failed Provision. Caddy
// does not call Stop where a reload fails after all apps were started.
func (a *App) Cleanup() error {
	a.end()
	for _, release := range slices.Backward(a.releases) { // who uses Redis goes before Redis
		release()
	}
	a.releases = nil
	return nil
}

// release gives a pooled value back.
func (a *App) release(pool *caddy.UsagePool, key any) {
	if _, err := pool.Delete(key); err != nil {
		a.logger.Error("closing shared state", zap.Error(err))
	}
}

// Interface guards.
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
