package tollgate

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/open-tollgate/tollgate/internal/dpop"
)

// generated is what an operator writes for a key that this process makes up.
const generated = "generated"

// DPoP says what proofs need beyond what RFC 9449 always asks for.
type DPoP struct {
	// NonceKey names the secret that nonces are made of, {env.NAME} or {file.PATH}, the same on
	// all nodes; or is "generated", for a single one. Empty: proofs need no nonce.
	NonceKey string `json:"nonce_key,omitempty"`
	// NoncePeriod is how long until another nonce is given out, from 30 seconds to an
	// hour; five minutes when zero. Each passes for two of them.
	NoncePeriod caddy.Duration `json:"nonce_period,omitempty"`

	at caddyfile.Token // where it is in the Caddyfile
}

// parseDPoP reads a block of nonce_key and nonce_period.
func (a *App) parseDPoP(d *caddyfile.Dispenser) error {
	if a.DPoP != nil {
		return d.Err("dpop is there twice")
	}
	a.DPoP = &DPoP{at: d.Token()}
	if d.NextArg() {
		return d.ArgErr()
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := a.DPoP.parseOption(d); err != nil {
			return err
		}
	}
	return nil
}

func (p *DPoP) parseOption(d *caddyfile.Dispenser) error {
	option := d.Val()
	if option != "nonce_key" && option != "nonce_period" {
		return d.Errf("dpop: unknown option %q", option)
	}
	var value string
	if !d.AllArgs(&value) {
		return d.Errf("dpop: %s takes one value", option) // d.ArgErr repeats a word, which may be the key
	}
	if option == "nonce_period" {
		if err := parsePositive(d, option, value, &p.NoncePeriod); err != nil {
			return err
		}
	} else {
		p.NonceKey = value
	}
	if err := p.checkSettings(); err != nil {
		return d.WrapErr(err)
	}
	if err := checkReferenced(p.NonceKey); err != nil {
		return d.Errf("dpop: nonce_key %w", err)
	}
	return nil
}

// checkSettings says what is wrong with the settings, whatever the key is.
func (p *DPoP) checkSettings() error {
	if p.NonceKey != "" && p.NonceKey != generated {
		if err := checkReference(p.NonceKey); err != nil {
			return fmt.Errorf("dpop: nonce_key is %s, or %w", generated, err)
		}
	}
	_, err := dpop.NewNonces(make([]byte, sha256.Size), time.Duration(p.NoncePeriod), nil)
	return err
}

// checkDPoP says what in the rest of the configuration speaks against nonces.
func (a *App) checkDPoP() error {
	switch {
	case a.DPoP == nil:
		return nil
	case len(a.Origins) == 0:
		return errors.New("dpop: without an origin there is no DPoP")
	case a.DPoP.NonceKey == "":
		return errors.New("dpop: no nonce_key")
	case a.DPoP.NonceKey == generated && a.HasRedis():
		return errors.New("dpop: nonce_key generated is for a single node, and with redis there can be several: name a key that they share")
	default:
		return a.DPoP.checkSettings()
	}
}

// generatedKeys keeps the key that this process has made up over a reload, so that no
// caller is sent back for another nonce.
var generatedKeys = caddy.NewUsagePool()

// generatedKey is the pool's only key.
type generatedKey struct{}

type secretKey []byte

// Destruct has nothing to close.
func (secretKey) Destruct() error { return nil }

// nonces gives what proofs have to bear one of, nil when they need none.
func (a *App) nonces() (*dpop.Nonces, error) {
	if err := a.checkDPoP(); err != nil || a.DPoP == nil {
		return nil, err
	}
	key, err := a.nonceKey()
	if err != nil {
		return nil, fmt.Errorf("dpop: nonce_key %w", err)
	}
	nonces, err := dpop.NewNonces(key, time.Duration(a.DPoP.NoncePeriod), a.clock())
	if err != nil {
		return nil, fmt.Errorf("%w: nonce_key %s", err, a.DPoP.NonceKey)
	}
	return nonces, nil
}

func (a *App) nonceKey() ([]byte, error) {
	if a.DPoP.NonceKey != generated && a.world == nil {
		key, err := resolve(a.DPoP.NonceKey)
		return []byte(key), err
	}
	pooled, _, err := generatedKeys.LoadOrNew(generatedKey{}, func() (caddy.Destructor, error) {
		key := make(secretKey, sha256.Size)
		_, err := rand.Read(key)
		return key, err
	})
	if err != nil {
		return nil, err
	}
	a.releases = append(a.releases, func() { a.release(generatedKeys, generatedKey{}) })
	return pooled.(secretKey), nil
}

// nonceVar is the request variable that holds the nonce for the answer.
const nonceVar = "tollgate.dpop_nonce"

func renewNonce(r *http.Request, nonce string) { caddyhttp.SetVar(r.Context(), nonceVar, nonce) }

// HandOutNonce gives the writer for the answer of a request that has passed: if the
// nonce of its proof is about to end, the answer has the next one (RFC 9449 section 8.2),
// once, whatever the service says, and no cache keeps it for others. A script of another
// origin may read it, where the operator lets it call at all.
func HandOutNonce(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
	nonce, ok := caddyhttp.GetVar(r.Context(), nonceVar).(string)
	if !ok {
		return w
	}
	handing := &nonceWriter{caddyhttp.ResponseWriterWrapper{ResponseWriter: w}, nonce}
	handing.set() // for refusals further in, which are not written by it
	return handing
}

type nonceWriter struct {
	caddyhttp.ResponseWriterWrapper
	nonce string
}

func (w *nonceWriter) set() {
	h := w.Header()
	h.Set("DPoP-Nonce", w.nonce)
	h.Set("Cache-Control", "no-store")
	const expose = "Access-Control-Expose-Headers" // beside the operator's own and the service's
	if !slices.Contains(h.Values(expose), "DPoP-Nonce") {
		h.Add(expose, "DPoP-Nonce")
	}
}

// WriteHeader sets them again, over what a service may have sent.
func (w *nonceWriter) WriteHeader(status int) {
	w.set()
	w.ResponseWriterWrapper.WriteHeader(status)
}
