package revocation

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"
)

// wire is a revocation in Redis. Times are Unix milliseconds.
type wire struct {
	Issuer  string `json:"iss"`
	TokenID string `json:"jti,omitempty"`
	GrantID string `json:"grant_id,omitempty"`
	Subject string `json:"sub,omitempty"`
	Before  int64  `json:"before,omitempty"`
	Until   int64  `json:"until"`
}

// encode gives the one text of a revocation.
func encode(r Revocation) (string, error) {
	if err := r.check(); err != nil {
		return "", err
	}
	text, err := json.Marshal(wire{
		Issuer: r.Issuer, TokenID: r.TokenID, GrantID: r.GrantID, Subject: r.Subject,
		Before: millis(r.Before), Until: millis(r.Until),
	})
	return string(text), err
}

// decode reads what encode wrote. A member that is not known would be a condition
// that is not applied.
func decode(text string) (Revocation, error) {
	var w wire
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(&w); err != nil || d.More() {
		return Revocation{}, errors.Join(ErrInvalid, err)
	}
	r := Revocation{
		Issuer: w.Issuer, TokenID: w.TokenID, GrantID: w.GrantID, Subject: w.Subject,
		Before: fromMillis(w.Before), Until: fromMillis(w.Until),
	}
	return r, r.check()
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}
