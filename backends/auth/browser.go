package auth

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"

	"github.com/open-tollgate/tollgate/backends/auth/internal/store"
	"github.com/open-tollgate/tollgate/backends/auth/internal/vault"
)

// The cookies. The prefix has browsers refuse one that another host, or plain
// http, would set (RFC 6265bis section 4.1.3.2). Lax, because the browser comes
// from the client's site; the forms have a token of their own.
const (
	browserCookie = "__Host-tollgate_browser"
	loginCookie   = "__Host-tollgate_login"
)

func setCookie(w http.ResponseWriter, name, value string, maxAge time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(maxAge.Seconds()),
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// cookie gives a cookie's value; of two with the same name neither is believed.
func cookie(r *http.Request, name string) string {
	found := r.CookiesNamed(name)
	if len(found) != 1 {
		return ""
	}
	return found[0].Value
}

// Notes that an authorization session keeps between two requests, in its Store.
const (
	noteBrowser = "browser"       // hash of the cookie of the browser that opened it
	noteLogin   = store.NoteLogin // hash of the cookie that the user signed in with
	noteName    = "name"          // of the user, for the page
)

// bind ties the session to the browser that opens it.
func (s *Server) bind(w http.ResponseWriter, r *http.Request, as *goidc.AuthnSession) {
	value := cookie(r, browserCookie)
	if value == "" {
		value = vault.Random()
		setCookie(w, browserCookie, value, 0)
	}
	as.Store[noteBrowser] = s.browserHash(value)
}

// bound tells whether the request comes from the browser that opened the session.
func (s *Server) bound(r *http.Request, as *goidc.AuthnSession) bool {
	want, _ := as.Store[noteBrowser].(string)
	value := cookie(r, browserCookie)
	return value != "" && want != "" && equal(want, s.browserHash(value))
}

func (s *Server) browserHash(value string) string {
	return base64.RawURLEncoding.EncodeToString(s.vault.Hash(vault.BrowserCookie, value))
}

func (s *Server) loginHash(value string) string {
	return base64.RawURLEncoding.EncodeToString(s.vault.Hash(vault.LoginSession, value))
}

// csrf is the token of the session's forms, in this browser.
func (s *Server) csrf(r *http.Request, as *goidc.AuthnSession) string {
	return base64.RawURLEncoding.EncodeToString(s.vault.Hash(vault.CSRFToken, cookie(r, browserCookie), as.ID))
}

// sameSite tells whether a form was sent by one of our own pages.
func (s *Server) sameSite(r *http.Request, as *goidc.AuthnSession) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return false
	}
	return equal(r.PostForm.Get("csrf"), s.csrf(r, as))
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// signedIn gives who is signed in with this browser, if that is good enough for
// the request: prompt=login and max_age may want the password again.
func (s *Server) signedIn(r *http.Request, as *goidc.AuthnSession) (store.Login, bool, error) {
	if promptsLogin(as) {
		return store.Login{}, false, nil
	}
	login, ok, err := s.login(r)
	if err != nil || !ok {
		return store.Login{}, false, err
	}
	if max := as.MaxAuthnAgeSecs; max != nil && s.now().Sub(login.AuthTime) > time.Duration(*max)*time.Second {
		return store.Login{}, false, nil
	}
	return login, true, nil
}

func promptsLogin(as *goidc.AuthnSession) bool {
	return slices.Contains(strings.Fields(string(as.Prompt)), string(goidc.PromptTypeLogin))
}

// login gives the login of this browser's cookie, if there is one that still lives.
func (s *Server) login(r *http.Request) (store.Login, bool, error) {
	value := cookie(r, loginCookie)
	if value == "" {
		return store.Login{}, false, nil
	}
	login, err := s.store.Login(r.Context(), value)
	if errors.Is(err, goidc.ErrNotFound) {
		return store.Login{}, false, nil
	}
	return login, err == nil, err
}

// present gives the login of the session's user, if there still is one with this browser:
// another tab may have signed out, or in as somebody else, since the session noted
// who it is. Where the request wanted the password, it has to be the very login
// that the password was given for.
func (s *Server) present(r *http.Request, as *goidc.AuthnSession) (store.Login, bool, error) {
	if as.Subject == "" {
		return store.Login{}, false, nil
	}
	login, ok, err := s.login(r)
	if err != nil || !ok || login.UserID != as.Subject {
		return store.Login{}, false, err
	}
	noted, _ := as.Store[noteLogin].(string)
	anyLogin := !promptsLogin(as) && as.MaxAuthnAgeSecs == nil
	return login, anyLogin || equal(noted, s.loginHash(cookie(r, loginCookie))), nil
}

// signIn starts a login session under a new cookie: the value that was there
// before sign-in, which somebody else may have planted, is worth nothing after it. since
// is the last ending of access before the password was looked at.
func (s *Server) signIn(w http.ResponseWriter, r *http.Request, login store.Login, since int64) (value string, err error) {
	if old := cookie(r, loginCookie); old != "" {
		if err := s.store.DeleteLogin(r.Context(), old); err != nil {
			return "", err
		}
	}
	if value, err = s.store.CreateLogin(r.Context(), login, since); err != nil {
		return "", err
	}
	setCookie(w, loginCookie, value, 0)
	return value, nil
}

// signOut ends the login session.
func (s *Server) signOut(w http.ResponseWriter, r *http.Request) error {
	value := cookie(r, loginCookie)
	if value == "" {
		return nil
	}
	setCookie(w, loginCookie, "", -time.Second)
	return s.store.DeleteLogin(r.Context(), value)
}

// setUser notes in the session who the user is, since when, and by which cookie.
func (s *Server) setUser(as *goidc.AuthnSession, login store.Login, cookie string) {
	as.Subject = login.UserID // not Username: introspection would hand the login name out
	as.Store[noteLogin] = s.loginHash(cookie)
	as.Store[noteName] = login.Name
	as.Store[keyAuthTime] = strconv.FormatInt(login.AuthTime.Unix(), 10)
	as.Store[keyACR] = acrPassword
}

// clearUser forgets the user, and whatever was granted.
func clearUser(as *goidc.AuthnSession) {
	as.Subject, as.GrantedScopes, as.GrantedAuthDetails = "", "", nil
	for _, note := range []string{noteLogin, noteName, keyAuthTime, keyACR} {
		delete(as.Store, note)
	}
}
