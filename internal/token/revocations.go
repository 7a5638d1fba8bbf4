package token

import "time"

// Revocations knows the tokens that are withdrawn before they expire. It is asked on
// every request: it neither waits nor allocates.
type Revocations interface {
	// Revoked judges by what the token says and never by its text: a signature can be
	// encoded in another way and still verify. An error means that nobody can tell.
	Revoked(t *Token, now time.Time) (bool, error)
}

// CheckRevoked refuses a token that is revoked, or of which nobody knows. Where there
// are no revocations, no token is revoked.
func CheckRevoked(by Revocations, t *Token, now time.Time) error {
	if by == nil {
		return nil
	}
	revoked, err := by.Revoked(t, now)
	if err != nil {
		return refuse(RevocationsUnavailable, err)
	}
	if revoked {
		return refuse(Revoked, nil)
	}
	return nil
}
