package tollgate

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/open-tollgate/tollgate/internal/access"
	"github.com/open-tollgate/tollgate/internal/dpop"
)

// Checker gives what checks the access tokens and DPoP proofs of an API's requests,
// for tokens of these issuers and audiences; empty: all that are configured. It is one
// for all listeners of the API, for each of which Caddy repeats it.
func (a *App) Checker(api API, issuerURLs, audiences []string) (*access.Checker, error) {
	if checker := a.checkers[api.APIName()]; checker != nil {
		return checker, nil // the names stand for the same settings: see ClaimAPI
	}
	issuers, err := a.Select(issuerURLs, audiences)
	if err != nil {
		return nil, err
	}
	issuers = api.APIProfile().hold(issuers)
	if err := a.checkProfile(issuers); err != nil {
		return nil, err
	}
	checker := &access.Checker{Proofs: a.proofs, Certificate: certificateOf, Failures: a.failures, Renew: renewNonce}
	if err := a.setTokens(checker, issuers); err != nil {
		return nil, err
	}
	a.checkers[api.APIName()] = checker
	return checker, nil
}

// setTokens sets who judges JWTs, and who is asked about the rest.
func (a *App) setTokens(checker *access.Checker, issuers []*Issuer) error {
	signing := slices.DeleteFunc(slices.Clone(issuers), func(i *Issuer) bool { return !i.signs() })
	if len(signing) > 0 {
		tokens, err := a.loadVerifier(signing)
		if err != nil {
			return err
		}
		checker.Tokens = tokens
	}
	one, err := asking(issuers)
	if err != nil || one == nil {
		return err
	}
	opaque, err := a.loadIntrospector(one)
	if err != nil {
		return err
	}
	checker.Opaque = opaque
	return nil
}

// ProofAlgorithms gives what DPoP proofs may be signed with, as a challenge names it;
// empty where DPoP is refused.
func (a *App) ProofAlgorithms() string {
	if a.proofs == nil {
		return ""
	}
	return a.proofs.Algorithms()
}

// CheckIssuers says why an API cannot have all of these issuers.
func CheckIssuers(issuers []*Issuer) error {
	_, err := asking(issuers)
	return err
}

// Select gives the issuers of these URLs, each narrowed down to these audiences. It
// is an error to name one that is not configured.
func (a *App) Select(urls, audiences []string) ([]*Issuer, error) {
	if len(a.Issuers) == 0 {
		return nil, errors.New("no issuer is configured")
	}
	named, err := a.named(urls)
	if err != nil || len(audiences) == 0 {
		return named, err
	}
	return narrow(named, audiences)
}

func (a *App) named(urls []string) ([]*Issuer, error) {
	if len(urls) == 0 {
		return a.Issuers, nil
	}
	named := make([]*Issuer, 0, len(urls))
	for _, url := range urls {
		issuer := a.issuer(url)
		if issuer == nil {
			return nil, fmt.Errorf("unknown issuer %q; configured: %s", url, strings.Join(a.issuerURLs(), " "))
		}
		if slices.Contains(named, issuer) {
			return nil, fmt.Errorf("issuer %s is there twice", url)
		}
		named = append(named, issuer)
	}
	return named, nil
}

func (a *App) issuerURLs() []string {
	urls := make([]string, 0, len(a.Issuers))
	for _, issuer := range a.Issuers {
		urls = append(urls, issuer.URL)
	}
	return urls
}

// narrow leaves out the issuers that no token of these audiences is expected from.
func narrow(issuers []*Issuer, audiences []string) ([]*Issuer, error) {
	for _, audience := range audiences {
		known := func(i *Issuer) bool { return slices.Contains(i.Audiences, audience) }
		if !slices.ContainsFunc(issuers, known) {
			return nil, fmt.Errorf("audience %q is none of the issuers'", audience)
		}
	}
	var narrowed []*Issuer
	for _, issuer := range issuers {
		copied := *issuer
		copied.Audiences = slices.DeleteFunc(slices.Clone(issuer.Audiences), func(audience string) bool {
			return !slices.Contains(audiences, audience)
		})
		if len(copied.Audiences) > 0 {
			narrowed = append(narrowed, &copied)
		}
	}
	return narrowed, nil
}

// replayMemories keeps the used DPoP proofs over a reload, when Redis does not.
var replayMemories = caddy.NewUsagePool()

// replayMemory is the pool's only key: a process has one memory.
type replayMemory struct{}

type pooledMemory struct{ *dpop.Memory }

// Destruct has nothing to close.
func (pooledMemory) Destruct() error { return nil }

// provisionProofs sets DPoP up, if the configuration says what a proof has to name.
func (a *App) provisionProofs() error {
	if len(a.Origins) == 0 {
		return a.checkDPoP()
	}
	for _, origin := range a.Origins {
		if err := checkOrigin(origin); err != nil {
			return fmt.Errorf("origin %q: %w", origin, err)
		}
	}
	replay, err := a.loadReplay()
	if err != nil {
		return err
	}
	nonces, err := a.nonces()
	if err != nil {
		return err
	}
	a.proofs, err = dpop.New(dpop.Config{Origins: a.Origins, Replay: replay, Nonces: nonces, Now: a.clock()})
	return err
}

func (a *App) loadReplay() (dpop.ReplayStore, error) {
	if a.redis != nil {
		return dpop.NewRedis(a.redis), nil
	}
	key := a.own(replayMemory{})
	pooled, _, err := replayMemories.LoadOrNew(key, func() (caddy.Destructor, error) {
		return pooledMemory{dpop.NewMemory(0, a.clock())}, nil
	})
	if err != nil {
		return nil, err
	}
	a.releases = append(a.releases, func() { a.release(replayMemories, key) })
	return pooled.(pooledMemory).Memory, nil
}
