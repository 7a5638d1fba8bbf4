package auditlog

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Kind is what a record is about.
type Kind string

// The kinds of records.
const (
	KindDecision  Kind = "decision"  // one answered request
	KindConfig    Kind = "config"    // a configuration that took effect, or was refused
	KindChange    Kind = "change"    // what a configuration opened or closed
	KindStarted   Kind = "started"   // a process opened the log
	KindStopped   Kind = "stopped"   // it closed the log in order
	KindRecovered Kind = "recovered" // what a crash had torn was cut off
	KindLost      Kind = "lost"      // records that found no room while the log could not be written
	KindRetention Kind = "retention" // the log was deleted up to KeptFrom, because of its age
)

// Kinds lists them.
func Kinds() []string {
	return []string{string(KindDecision), string(KindConfig), string(KindChange), string(KindStarted), string(KindStopped),
		string(KindRecovered), string(KindLost), string(KindRetention)}
}

// Whom the answer to a request was left to, where it was not the API that decided. What the
// caller got is not known to the record then, and whether a service was reached.
const (
	AnswerErrorRoutes = "error_routes" // the site's handle_errors
	AnswerIntercepted = "intercepted"  // a handler around the API that keeps answers back
)

// Answers lists them.
func Answers() []string { return []string{AnswerErrorRoutes, AnswerIntercepted} }

// Record is one line of the log. Appending copies it; strings are kept until they are
// written. Names of people and clients are given as they are, and written as keyed hashes.
type Record struct {
	Time time.Time
	Kind Kind

	// Of a decision.
	RequestID string
	Policy    string // hash of the policy that decided
	API       string
	Rule      string // what decided: "access_token", "require", "rate_limit zone"
	Method    string
	Client    string
	Subject   string
	TokenID   string
	Address   string
	Outcome   string // allowed, refused or failed
	Reason    string
	Status    int    // of the API's answer
	Answer    string // whom the answer was left to; empty: Status was sent

	// Of other kinds.
	Previous string // KindConfig: hash of the policy before
	Detail   string // in words
	Count    uint64 // KindLost: how many; KindRecovered: octets that were cut off
	KeptFrom int64  // KindRetention: the first record that is left
}

// line is a Record as it is written: a JSON object on one line, empty members left out.
type line struct {
	Time      string `json:"time"`
	Kind      Kind   `json:"kind"`
	Node      string `json:"node,omitempty"`
	RequestID string `json:"request_id,omitempty"`
	Policy    string `json:"policy,omitempty"`
	API       string `json:"api,omitempty"`
	Rule      string `json:"rule,omitempty"`
	Method    string `json:"method,omitempty"`
	Client    string `json:"client,omitempty"`
	Subject   string `json:"subject,omitempty"`
	TokenID   string `json:"token,omitempty"`
	Address   string `json:"address,omitempty"`
	Outcome   string `json:"outcome,omitempty"`
	Reason    string `json:"reason,omitempty"`
	Status    int    `json:"status,omitempty"`
	Answer    string `json:"answer,omitempty"`
	Previous  string `json:"previous_policy,omitempty"`
	Detail    string `json:"detail,omitempty"`
	Count     uint64 `json:"count,omitempty"`
	KeptFrom  int64  `json:"kept_from,omitempty"`
}

// timeFormat is RFC 3339 with microseconds, of one length.
const timeFormat = "2006-01-02T15:04:05.000000Z07:00"

// encode gives the line, without its end.
func (r *Record) encode(node string, p pseudonyms) ([]byte, error) {
	return json.Marshal(line{
		Time: r.Time.UTC().Format(timeFormat), Kind: r.Kind, Node: node,
		RequestID: short(r.RequestID), Policy: short(r.Policy), API: short(r.API), Rule: short(r.Rule), Method: short(r.Method),
		Client: p.of(ClientPseudonym, r.Client), Subject: p.of(SubjectPseudonym, r.Subject),
		TokenID: p.of(TokenPseudonym, r.TokenID), Address: p.of(AddressPseudonym, r.Address),
		Outcome: short(r.Outcome), Reason: short(r.Reason), Status: r.Status, Answer: short(r.Answer),
		Previous: short(r.Previous), Detail: short(r.Detail), Count: r.Count, KeptFrom: r.KeptFrom,
	})
}

// maxText bounds each text of a record, in octets: what all of them take in JSON, at six
// octets for one, is less than maxLine, or nobody could read the log any more.
const maxText = 8 << 10

// short cuts a text that is too long, and says how much is left out.
func short(text string) string {
	if len(text) <= maxText {
		return text
	}
	kept := strings.ToValidUTF8(text[:maxText], "")
	return fmt.Sprintf("%s... (%d octets more)", kept, len(text)-len(kept))
}
