package users

import (
	"net/http"
	"strings"

	"github.com/open-tollgate/tollgate/backends/internal/rest"
	"github.com/open-tollgate/tollgate/backends/internal/service"
)

// registration is the body of POST /api/users.
type registration struct {
	Name     string `json:"name"`
	Email    string `json:"email"`
	Phone    string `json:"phone"`
	Locale   string `json:"locale"`
	Password string `json:"password"`
}

// user checks the registration and makes a user of it, still without a hash. The
// address is what the user signs in with from now on.
func (in registration) user() (User, error) {
	email := normaliseEmail(in.Email)
	u := User{Username: normaliseUsername(email), Name: strings.TrimSpace(in.Name), Email: email, Phone: in.Phone, Locale: in.Locale}
	if u.Locale == "" {
		u.Locale = defaultLocale
	}
	var wrong rest.Faults
	wrong.Add("/name", checkName(u.Name))
	if detail := checkEmail(u.Email); detail != "" {
		wrong.Add("/email", detail)
	} else {
		wrong.Add("/email", checkUsername(u.Username))
	}
	if u.Phone != "" {
		wrong.Add("/phone", checkPhone(u.Phone))
	}
	wrong.Add("/locale", checkLocale(u.Locale))
	wrong.Add("/password", checkPassword(in.Password, u.Username))
	return u, wrong.Err()
}

// register takes a registration. The answer is the same whether the address is
// known or not, and so are the steps to it, one hash and one write: nobody can ask
// here who has an account. That the database needs as long for either write is more
// than can be promised.
// It is idempotent by nature, since an address is registered once.
func (s *Service) register(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	var in registration
	if p := service.ReadJSON(r, &in); p != nil {
		return p
	}
	u, err := in.user()
	if err != nil {
		return err
	}
	if u.passwordHash, err = s.passwords.hash(r.Context(), in.Password); err != nil {
		return err
	}
	if _, _, err = s.store.create(r.Context(), u, s.now()); err != nil {
		return err
	}
	service.WriteJSON(w, http.StatusAccepted, map[string]string{"status": "accepted"})
	return nil
}
