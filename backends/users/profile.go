package users

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/open-tollgate/tollgate/backends/internal/rest"
	"github.com/open-tollgate/tollgate/backends/internal/service"
	"github.com/open-tollgate/tollgate/backends/internal/tokencheck"
)

// profile is what users see of themselves.
type profile struct {
	ID       string `json:"id"`
	Username string `json:"username"`
	Name     string `json:"name"`
	Email    string `json:"email"`
	Phone    string `json:"phone,omitempty"`
	Locale   string `json:"locale"`
}

func profileOf(u User) profile {
	return profile{ID: u.ID, Username: u.Username, Name: u.Name, Email: u.Email, Phone: u.Phone, Locale: u.Locale}
}

// ownID gives the id of the path if it is the token's user. Another one is not
// found, whether it exists or not.
func ownID(r *http.Request) (string, error) {
	subject := tokencheck.From(r.Context()).Subject
	if id := r.PathValue("id"); id != "me" && id != subject {
		return "", errNotFound
	}
	return subject, nil
}

func (s *Service) readProfile(w http.ResponseWriter, r *http.Request) error {
	id, err := ownID(r)
	if err != nil {
		return err
	}
	u, err := s.store.byID(r.Context(), s.store.db, id)
	if err != nil {
		return err
	}
	if rest.NotModified(w, r, rest.VersionTag(u.Version)) {
		return nil
	}
	service.WriteJSON(w, http.StatusOK, profileOf(u))
	return nil
}

// member is a member of a JSON merge patch (RFC 7396): absent, null or a value.
type member struct {
	present bool
	value   *string
}

// UnmarshalJSON is called for null too, which tells it from an absent member.
func (m *member) UnmarshalJSON(data []byte) error {
	m.present = true
	return json.Unmarshal(data, &m.value)
}

// patch is the body of PATCH /api/users/{id}.
type patch struct {
	Name   member `json:"name"`
	Email  member `json:"email"`
	Phone  member `json:"phone"`
	Locale member `json:"locale"`
}

// apply changes the user, or says what is wrong. A new e-mail address changes
// where the user gets mail, not the name to sign in with: so it need not be
// unique, and an answer here cannot tell whether somebody else has it.
func (p patch) apply(u *User) error {
	var wrong rest.Faults
	p.Name.set("/name", &u.Name, strings.TrimSpace, checkName, &wrong)
	p.Email.set("/email", &u.Email, normaliseEmail, checkEmail, &wrong)
	p.Locale.set("/locale", &u.Locale, strings.TrimSpace, checkLocale, &wrong)
	if p.Phone.present && p.Phone.value == nil {
		u.Phone = ""
	} else {
		p.Phone.set("/phone", &u.Phone, strings.TrimSpace, checkPhone, &wrong)
	}
	return wrong.Err()
}

func (m member) set(pointer string, target *string, normalise, check func(string) string, wrong *rest.Faults) {
	if !m.present {
		return
	}
	if m.value == nil {
		wrong.Add(pointer, "cannot be removed")
		return
	}
	*target = normalise(*m.value)
	wrong.Add(pointer, check(*target))
}

func (s *Service) changeProfile(w http.ResponseWriter, r *http.Request) error {
	id, err := ownID(r)
	if err != nil {
		return err
	}
	var changes patch
	if p := service.ReadJSON(r, &changes, "application/merge-patch+json"); p != nil {
		return p
	}
	u, err := s.store.change(r.Context(), id, s.now(), func(u *User) error {
		if err := rest.CheckIfMatch(r, u.Version); err != nil {
			return err
		}
		return changes.apply(u)
	})
	if err != nil {
		return err
	}
	rest.SetValidators(w.Header(), rest.VersionTag(u.Version))
	service.WriteJSON(w, http.StatusOK, profileOf(u))
	return nil
}
