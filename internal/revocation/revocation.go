// Package revocation withdraws access tokens before they expire. Revocations are
// published to a stream in Redis, which every node follows into its own memory: a
// request is judged by that memory alone, and never waits for Redis.
package revocation

import (
	"context"
	"errors"
	"time"
)

// MaxLifetime is how long the revocation of a grant or a subject is remembered. No
// issuer may have access tokens that live longer.
const MaxLifetime = 24 * time.Hour

// maxIdentifier bounds each name, as internal/token does.
const maxIdentifier = 512

// Revocation withdraws one token, the tokens of one grant, or those of one subject
// that were issued before a time. OfToken, OfGrant and OfSubject make them.
type Revocation struct {
	Issuer string
	// Exactly one of these is set.
	TokenID, GrantID, Subject string
	// Before is when tokens have to be issued to stay valid; zero: none stays.
	Before time.Time
	// Until is when the last token concerned has expired. The revocation is forgotten then.
	Until time.Time
}

// OfToken withdraws the one token of this "jti".
func OfToken(issuer, id string, expires time.Time) Revocation {
	return Revocation{Issuer: issuer, TokenID: id, Until: expires}
}

// OfGrant withdraws all tokens that have come of the grant, by their "grant_id", and
// those that somebody is just getting.
func OfGrant(issuer, id string, now time.Time) Revocation {
	return Revocation{Issuer: issuer, GrantID: id, Until: now.Add(MaxLifetime)}
}

// OfSubject withdraws the subject's tokens that were issued before the time.
func OfSubject(issuer, subject string, before time.Time) Revocation {
	return Revocation{Issuer: issuer, Subject: subject, Before: before, Until: before.Add(MaxLifetime)}
}

// Publisher makes revocations known: Stream to all nodes, Memory to this process.
type Publisher interface {
	// Revoke returns when the revocation is sure to take effect, or an error.
	Revoke(ctx context.Context, r Revocation) error
}

// ErrInvalid says that a revocation does not say what is revoked.
var ErrInvalid = errors.New("not a revocation")

// check refuses what could not be looked up later, or would withdraw something else.
func (r Revocation) check() error {
	names := 0
	for _, name := range []string{r.TokenID, r.GrantID, r.Subject} {
		if name != "" {
			names++
		}
		if len(name) > maxIdentifier {
			return ErrInvalid
		}
	}
	if names != 1 || r.Issuer == "" || len(r.Issuer) > maxIdentifier || r.Until.IsZero() {
		return ErrInvalid
	}
	if r.Before.IsZero() != (r.Subject == "") {
		return ErrInvalid // only a subject goes on and gets new tokens
	}
	return nil
}
