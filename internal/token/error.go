package token

import "errors"

// Reason says why a token is refused, in a word of a fixed vocabulary: it is a
// metric's label.
type Reason string

// The reasons for which a token is refused.
const (
	Malformed           Reason = "malformed"
	WrongType           Reason = "wrong_type"
	WrongAlgorithm      Reason = "wrong_algorithm"
	UnknownIssuer       Reason = "unknown_issuer"
	UnknownKey          Reason = "unknown_key"
	KeysUnavailable     Reason = "keys_unavailable"
	BadSignature        Reason = "bad_signature"
	MissingClaim        Reason = "missing_claim"
	InvalidClaim        Reason = "invalid_claim"
	WrongAudience       Reason = "wrong_audience"
	Expired             Reason = "expired"
	NotYetValid         Reason = "not_yet_valid"
	UnknownConfirmation Reason = "unknown_confirmation"
	Revoked             Reason = "revoked"
	// RevocationsUnavailable says that nobody knows whether the token is revoked.
	RevocationsUnavailable Reason = "revocations_unavailable"
	// NotSenderConstrained says that the token is bound to nothing, where it has to be.
	NotSenderConstrained Reason = "not_sender_constrained"
	// Inactive is what the issuer says of an opaque token, and no more than that (RFC 7662 section 2.2).
	Inactive Reason = "inactive"
	// IntrospectionUnavailable says that the issuer could not be asked about it.
	IntrospectionUnavailable Reason = "introspection_unavailable"
)

// Reasons gives the whole vocabulary.
func Reasons() []Reason {
	return []Reason{
		Malformed, WrongType, WrongAlgorithm, UnknownIssuer, UnknownKey, KeysUnavailable, BadSignature,
		MissingClaim, InvalidClaim, WrongAudience, Expired, NotYetValid, UnknownConfirmation,
		Revoked, RevocationsUnavailable, NotSenderConstrained, Inactive, IntrospectionUnavailable,
	}
}

// Unavailable says whether the reason lies with us rather than with the token, which
// may well be good.
func (r Reason) Unavailable() bool {
	return r == KeysUnavailable || r == RevocationsUnavailable || r == IntrospectionUnavailable
}

// Error is why Verify refused a token. Its text never quotes the token.
type Error struct {
	Reason Reason
	Err    error // may be nil
}

// Error gives the reason and what is behind it.
func (e *Error) Error() string {
	if e.Err == nil {
		return "token refused: " + string(e.Reason)
	}
	return "token refused: " + string(e.Reason) + ": " + e.Err.Error()
}

// Unwrap gives what is behind the reason.
func (e *Error) Unwrap() error { return e.Err }

func refuse(reason Reason, err error) error { return &Error{Reason: reason, Err: err} }

// What a KeySource says when it has no key to give.
var (
	// ErrUnknownKey says that the issuer has no such key: the token is refused.
	ErrUnknownKey = errors.New("no such key")
	// ErrKeysUnavailable says that the issuer's keys are out of reach: nobody can tell.
	ErrKeysUnavailable = errors.New("keys out of reach")
)
