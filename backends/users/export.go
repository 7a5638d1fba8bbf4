package users

import (
	"encoding/json"
	"net/http"
	"time"
)

// exportHead is what an export begins with; the payments follow.
type exportHead struct {
	ExportedAt time.Time         `json:"exported_at"`
	Profile    profile           `json:"profile"`
	CreatedAt  time.Time         `json:"created_at"`
	UpdatedAt  time.Time         `json:"updated_at"`
	Consents   []Consent         `json:"consents"`
	Accounts   []json.RawMessage `json:"accounts"`
}

// export gives a user everything that the platform holds about them. The payments
// are written as they come, page by page, however many there are. An error on the
// way breaks the connection off: half an export must not look like a whole one.
func (s *Service) export(w http.ResponseWriter, r *http.Request) error {
	id, err := ownID(r)
	if err != nil {
		return err
	}
	u, err := s.store.byID(r.Context(), s.store.db, id)
	if err != nil {
		return err
	}
	consents, err := s.platform.Consents(r.Context(), id)
	if err != nil {
		return errAway(err)
	}
	page, err := s.platform.Payments(r.Context(), id, "")
	if err != nil {
		return errAway(err)
	}
	head, err := json.Marshal(exportHead{
		ExportedAt: s.now().UTC(), Profile: profileOf(u), CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt,
		Consents: append([]Consent{}, consents...), Accounts: append([]json.RawMessage{}, page.Accounts...),
	})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Disposition", `attachment; filename="export.json"`)
	w.Header().Set("Cache-Control", "no-store")
	// The head without its last brace: the payments are its last member.
	_, _ = w.Write(append(head[:len(head)-1], `,"payments":[`...)) // the caller is gone: nobody to tell
	for first := true; ; {
		for _, payment := range page.Payments {
			if !first {
				_, _ = w.Write([]byte(","))
			}
			first = false
			_, _ = w.Write(payment)
		}
		if page.NextCursor == "" {
			break
		}
		if page, err = s.platform.Payments(r.Context(), id, page.NextCursor); err != nil {
			s.log.Error("export broken off", "error", err, "request_id", w.Header().Get("X-Request-Id"))
			panic(http.ErrAbortHandler)
		}
	}
	_, _ = w.Write([]byte("]}\n"))
	return nil
}
