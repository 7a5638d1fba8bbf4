package dpop

// Reason says why a proof is refused, in a word of a fixed vocabulary: it is a
// metric's label.
type Reason string

// The reasons for which a proof is refused.
const (
	Missing           Reason = "proof_missing"
	Malformed         Reason = "proof_malformed"
	WrongType         Reason = "proof_wrong_type"
	WrongAlgorithm    Reason = "proof_wrong_algorithm"
	BadKey            Reason = "proof_bad_key"
	BadSignature      Reason = "proof_bad_signature"
	WrongMethod       Reason = "proof_wrong_method"
	WrongURI          Reason = "proof_wrong_uri"
	WrongTime         Reason = "proof_wrong_time"
	WrongToken        Reason = "proof_wrong_token"
	WrongKey          Reason = "proof_wrong_key" // not the key that the token is bound to
	NonceWanted       Reason = "proof_nonce_wanted"
	Replayed          Reason = "proof_replayed"
	TooMany           Reason = "proof_too_many" // of one key, to remember them all
	ReplayUnavailable Reason = "replay_unavailable"
)

// Reasons gives the whole vocabulary.
func Reasons() []Reason {
	return []Reason{
		Missing, Malformed, WrongType, WrongAlgorithm, BadKey, BadSignature, WrongMethod,
		WrongURI, WrongTime, WrongToken, WrongKey, NonceWanted, Replayed, TooMany, ReplayUnavailable,
	}
}

// Error is why Verify refused a proof. Its text never quotes the proof.
type Error struct {
	Reason Reason
	Err    error // may be nil
}

// Error gives the reason and what is behind it.
func (e *Error) Error() string {
	if e.Err == nil {
		return "proof refused: " + string(e.Reason)
	}
	return "proof refused: " + string(e.Reason) + ": " + e.Err.Error()
}

// Unwrap gives what is behind the reason.
func (e *Error) Unwrap() error { return e.Err }

func refuse(reason Reason, err error) error { return &Error{Reason: reason, Err: err} }
