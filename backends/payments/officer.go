package payments

import (
	"database/sql"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/open-tollgate/tollgate/backends/internal/database"
	"github.com/open-tollgate/tollgate/backends/internal/idempotency"
	"github.com/open-tollgate/tollgate/backends/internal/rest"
	"github.com/open-tollgate/tollgate/backends/internal/service"
	"github.com/open-tollgate/tollgate/backends/internal/tokencheck"
	"github.com/open-tollgate/tollgate/backends/payments/risk"
	"github.com/open-tollgate/tollgate/internal/problem"
)

// An officer works with a client of the back office, registered by the operator for
// the scopes risk:read and risk:write. No user can consent to these: a customer of
// the bank is not one of its officers.

const (
	maxNote      = 500
	maxListValue = 200
)

// officersPage reads which page is wanted, and refuses users.
func officersPage(r *http.Request) (rest.Page, error) {
	if !byClient(tokencheck.From(r.Context())) {
		return rest.Page{}, errClientOnly
	}
	return rest.ReadPage(r)
}

// ruleView is a risk rule.
type ruleView struct {
	ID         string                 `json:"id"`
	Measures   string                 `json:"measures"` // in words
	Subject    risk.Subject           `json:"subject"`
	Enabled    bool                   `json:"enabled"`
	Thresholds map[string]risk.Limits `json:"thresholds"`
	UpdatedAt  time.Time              `json:"updated_at"`
}

func viewRule(s risk.Setting) ruleView {
	return ruleView{
		ID: s.ID, Measures: s.Measures(), Subject: s.Subject(), Enabled: s.Enabled, Thresholds: s.Thresholds, UpdatedAt: s.UpdatedAt,
	}
}

// listRules lists all rules. They are fixed, and few: there is one page.
func (s *Server) listRules(w http.ResponseWriter, r *http.Request) error {
	if !byClient(tokencheck.From(r.Context())) {
		return errClientOnly
	}
	settings, err := risk.Rules(r.Context(), s.db)
	if err != nil {
		return err
	}
	list := rest.List[ruleView]{Data: make([]ruleView, len(settings))}
	for i, setting := range settings {
		list.Data[i] = viewRule(setting)
	}
	rest.WriteTagged(w, r, list)
	return nil
}

func (s *Server) readRule(w http.ResponseWriter, r *http.Request) error {
	if !byClient(tokencheck.From(r.Context())) {
		return errClientOnly
	}
	id, err := pathRule(r)
	if err != nil {
		return err
	}
	setting, err := risk.Rule(r.Context(), s.db, id)
	if errors.Is(err, risk.ErrNotFound) {
		return errNotFound
	}
	if err != nil || rest.NotModified(w, r, rest.VersionTag(setting.Version)) {
		return err
	}
	service.WriteJSON(w, http.StatusOK, viewRule(setting))
	return nil
}

// pathRule gives the rule that the path names.
func pathRule(r *http.Request) (string, error) {
	id := r.PathValue("rule")
	if strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" || len(id) > 64 {
		return "", errNotFound
	}
	return id, nil
}

// ruleChange is the body of PUT: all that can be changed of a rule.
type ruleChange struct {
	Enabled    *bool                  `json:"enabled"`
	Thresholds map[string]risk.Limits `json:"thresholds"`
}

// changeRule sets a rule on top of the version that the officer has seen.
func (s *Server) changeRule(w http.ResponseWriter, r *http.Request) error {
	t := tokencheck.From(r.Context())
	if !byClient(t) {
		return errClientOnly
	}
	id, err := pathRule(r)
	if err != nil {
		return err
	}
	if len(r.Header.Values("If-Match")) == 0 {
		return problem.New(http.StatusPreconditionRequired, "if_match_required", "A change needs If-Match with the ETag of what was read.")
	}
	var in ruleChange
	if p := service.ReadJSON(r, &in); p != nil {
		return p
	}
	setting := risk.Setting{ID: id}
	err = s.db.InTx(r.Context(), func(tx *sql.Tx) error {
		was, err := risk.Rule(r.Context(), tx, id)
		if errors.Is(err, risk.ErrNotFound) {
			return errNotFound
		}
		if err != nil {
			return err
		}
		if err := matchesVersion(r, rest.VersionTag(was.Version)); err != nil {
			return err
		}
		if setting, err = in.on(was); err != nil {
			return err
		}
		done, err := risk.Change(r.Context(), tx, t.ClientID, was, &setting, s.now())
		if err == nil && !done {
			err = problem.New(http.StatusPreconditionFailed, "version_mismatch", "It has changed since you read it.")
		}
		return err
	})
	if err != nil {
		return err
	}
	rest.SetValidators(w.Header(), rest.VersionTag(setting.Version))
	service.WriteJSON(w, http.StatusOK, viewRule(setting))
	return nil
}

// on gives the rule as it is to be.
func (in ruleChange) on(was risk.Setting) (risk.Setting, error) {
	var wrong rest.Faults
	if in.Enabled == nil {
		wrong.Add("/enabled", "must be true or false")
	}
	if in.Thresholds == nil {
		wrong.Add("/thresholds", "must be an object")
	}
	setting := was
	setting.Thresholds = in.Thresholds
	for member, detail := range setting.Validate() {
		wrong.Add("/thresholds/"+member, detail)
	}
	if err := wrong.Err(); err != nil {
		return risk.Setting{}, err
	}
	setting.Enabled = *in.Enabled
	return setting, nil
}

// entryOfListView is one of whom or what is on a list.
type entryOfListView struct {
	ID        string       `json:"id"`
	List      string       `json:"list"`
	Subject   risk.Subject `json:"subject"`
	Value     string       `json:"value"`
	Note      string       `json:"note"`
	CreatedAt time.Time    `json:"created_at"`
}

func viewEntryOfList(e risk.Entry) entryOfListView {
	return entryOfListView{ID: e.ID, List: e.List, Subject: e.Subject, Value: e.Value, Note: e.Note, CreatedAt: e.CreatedAt}
}

func (s *Server) listEntriesOfLists(w http.ResponseWriter, r *http.Request) error {
	page, err := officersPage(r)
	if err != nil {
		return err
	}
	entries, err := risk.Entries(r.Context(), s.db, page.After, page.Limit+1)
	if err != nil {
		return err
	}
	writeList(w, r, page, entries, viewEntryOfList, func(v entryOfListView) string { return v.ID })
	return nil
}

// writeList answers with a page of views.
func writeList[T, V any](w http.ResponseWriter, r *http.Request, page rest.Page, items []T, view func(T) V, id func(V) string) {
	views := make([]V, len(items))
	for i, item := range items {
		views[i] = view(item)
	}
	rest.WriteTagged(w, r, rest.NewList(page, views, id))
}

// newEntryOfList is the body of POST /api/risk/lists.
type newEntryOfList struct {
	List    string       `json:"list"`
	Subject risk.Subject `json:"subject"`
	Value   string       `json:"value"`
	Note    string       `json:"note"`
}

func (in newEntryOfList) validate() error {
	var wrong faults
	if in.List != risk.AllowList && in.List != risk.DenyList {
		wrong.Add("/list", "must be allow or deny")
	}
	if in.Subject != risk.OfUser && in.Subject != risk.OfClient && in.Subject != risk.OfPayee {
		wrong.Add("/subject", "must be user, client or payee")
	}
	if in.Value == "" {
		wrong.Add("/value", "must not be empty")
	}
	wrong.text("/value", in.Value, maxListValue)
	wrong.text("/note", in.Note, maxNote)
	return wrong.Err()
}

func (s *Server) addToList(w http.ResponseWriter, r *http.Request) error {
	t := tokencheck.From(r.Context())
	if !byClient(t) {
		return errClientOnly
	}
	_, err := post(s, w, r, func(tx *sql.Tx, in newEntryOfList) (idempotency.Response, error) {
		entry, err := risk.AddEntry(r.Context(), tx, t.ClientID,
			risk.Entry{List: in.List, Subject: in.Subject, Value: in.Value, Note: in.Note}, s.now())
		if database.IsUnique(err) {
			return idempotency.Response{}, problem.New(http.StatusConflict, "list_entry_exists", "It is on a list already. Remove that entry first.")
		}
		if err != nil {
			return idempotency.Response{}, err
		}
		return respond(http.StatusCreated, viewEntryOfList(entry), "", "")
	})
	return err
}

func (s *Server) removeFromList(w http.ResponseWriter, r *http.Request) error {
	t := tokencheck.From(r.Context())
	if !byClient(t) {
		return errClientOnly
	}
	id, err := pathID(r)
	if err != nil {
		return err
	}
	err = s.db.InTx(r.Context(), func(tx *sql.Tx) error {
		return risk.RemoveEntry(r.Context(), tx, t.ClientID, id, s.now())
	})
	if errors.Is(err, risk.ErrNotFound) {
		return errNotFound
	}
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// decisionView is what was decided of a payment at a time.
type decisionView struct {
	ID        string         `json:"id"`
	PaymentID string         `json:"payment_id"`
	Outcome   risk.Outcome   `json:"outcome"`
	Findings  []risk.Finding `json:"findings"`
	Inputs    risk.Inputs    `json:"inputs"`
	CreatedAt time.Time      `json:"created_at"`
}

func viewDecision(d risk.Decision) decisionView {
	return decisionView{ID: d.ID, PaymentID: d.PaymentID, Outcome: d.Outcome, Findings: d.Findings, Inputs: d.Inputs, CreatedAt: d.CreatedAt}
}

// listDecisions lists what was decided of one payment, newest first.
func (s *Server) listDecisions(w http.ResponseWriter, r *http.Request) error {
	page, err := officersPage(r)
	if err != nil {
		return err
	}
	payment := r.URL.Query().Get("payment_id")
	if uuid.Validate(payment) != nil {
		return problem.New(http.StatusBadRequest, "invalid_parameter", "A query parameter is missing or not valid.").
			WithErrors(problem.FieldError{Pointer: "payment_id", Detail: "must name a payment"})
	}
	decisions, err := risk.Decisions(r.Context(), s.db, payment, page.After, page.Limit+1)
	if err != nil {
		return err
	}
	writeList(w, r, page, decisions, viewDecision, func(v decisionView) string { return v.ID })
	return nil
}

// recordView is something that an officer did.
type recordView struct {
	ID        string    `json:"id"`
	Actor     string    `json:"actor"`
	Action    string    `json:"action"`
	Object    string    `json:"object"`
	Was       any       `json:"was"`
	Became    any       `json:"became"`
	CreatedAt time.Time `json:"created_at"`
}

func viewRecord(r risk.Record) recordView {
	return recordView{ID: r.ID, Actor: r.Actor, Action: r.Action, Object: r.Object, Was: r.Was, Became: r.Became, CreatedAt: r.CreatedAt}
}

// listChanges lists what officers did, newest first.
func (s *Server) listChanges(w http.ResponseWriter, r *http.Request) error {
	page, err := officersPage(r)
	if err != nil {
		return err
	}
	records, err := risk.Records(r.Context(), s.db, page.After, page.Limit+1)
	if err != nil {
		return err
	}
	writeList(w, r, page, records, viewRecord, func(v recordView) string { return v.ID })
	return nil
}
