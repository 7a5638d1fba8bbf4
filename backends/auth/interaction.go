package auth

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"

	"github.com/open-tollgate/tollgate/backends/auth/internal/page"
	"github.com/open-tollgate/tollgate/backends/auth/internal/refusal"
	"github.com/open-tollgate/tollgate/backends/auth/internal/store"
)

// setUp runs whenever a request_uri is opened. Whatever an earlier opening left
// behind is dropped: the browser that opens it now may be somebody else's, and
// would land on the consent page of the first one's user.
func (s *Server) setUp(_ *http.Request, as *goidc.AuthnSession, _ *goidc.Client) bool {
	clearUser(as)
	as.Store = store.KeepRevision(as)
	return true
}

// interaction is one request of a browser within an authorization session.
type interaction struct {
	s  *Server
	w  http.ResponseWriter
	r  *http.Request
	as *goidc.AuthnSession
	c  *goidc.Client
}

// authenticate leads the user through sign-in and consent. Pending keeps the
// session waiting; success and failure are final and go back to the client.
func (s *Server) authenticate(w http.ResponseWriter, r *http.Request, as *goidc.AuthnSession, c *goidc.Client) (goidc.Status, error) {
	page.SecurityHeader(w.Header())
	i := interaction{s, w, r, as, c}
	step := r.PathValue("callback_path")
	switch {
	case r.PathValue("callback") == "":
		return i.open()
	case !s.bound(r, as):
		return i.refuse(http.StatusForbidden, "Opened in another browser",
			"This page belongs to a request that was opened in another browser or window, or your browser does not keep cookies.")
	case r.Method != http.MethodPost && step == "": // GET or HEAD: nothing else is routed
		return i.show()
	case r.Method != http.MethodPost:
		return i.refuse(http.StatusNotFound, "Page not found", "There is no such page here.")
	case !s.sameSite(r, as):
		return i.refuse(http.StatusForbidden, "The form could not be checked", "The form was not sent by this page, or it is too old.")
	}
	switch step {
	case "login":
		return i.logIn()
	case "switch":
		return i.switchUser()
	case "consent":
		return i.answer()
	}
	return i.refuse(http.StatusNotFound, "Page not found", "There is no such page here.")
}

// open binds the request to the browser and sends it to a page of its own, so
// that a reload repeats nothing. The request_uri is spent for the browser's history.
func (i interaction) open() (goidc.Status, error) {
	i.s.bind(i.w, i.r, i.as)
	if i.as.Prompt == goidc.PromptTypeNone {
		return i.withoutPages()
	}
	return i.next()
}

// withoutPages is prompt=none: nobody consents without being asked.
func (i interaction) withoutPages() (goidc.Status, error) {
	_, ok, err := i.s.signedIn(i.r, i.as)
	switch {
	case err != nil:
		return i.unavailable(err)
	case !ok:
		return goidc.StatusFailure, refusal.New(goidc.ErrorCodeLoginRequired, "The user is not signed in.")
	}
	return goidc.StatusFailure, refusal.New(refusal.ConsentRequired, "The user has to be asked.")
}

// next sends the browser to the page of the step that comes next.
func (i interaction) next() (goidc.Status, error) {
	http.Redirect(i.w, i.r, authorizePath+"/"+i.as.ID, http.StatusSeeOther)
	return goidc.StatusPending, nil
}

// show renders the page of the current step.
func (i interaction) show() (goidc.Status, error) {
	_, present, err := i.s.present(i.r, i.as)
	if err != nil {
		return i.unavailable(err)
	}
	if present {
		return i.showConsent("")
	}
	clearUser(i.as)
	login, ok, err := i.s.signedIn(i.r, i.as)
	switch {
	case err != nil:
		return i.unavailable(err)
	case !ok:
		return i.showSignIn(http.StatusOK, i.as.LoginHint, "")
	}
	i.s.setUser(i.as, login, cookie(i.r, loginCookie))
	return i.showConsent("")
}

func (i interaction) showSignIn(status int, username, problem string) (goidc.Status, error) {
	page.SignIn{Interaction: i.page(), Username: username, Problem: problem}.Write(i.w, status)
	return goidc.StatusPending, nil
}

func (i interaction) page() page.Interaction {
	return page.Interaction{
		ID: i.as.ID, Client: i.c.Name, ClientOrigin: origin(i.as.RedirectURI), CSRF: i.s.csrf(i.r, i.as),
	}
}

// origin gives the origin of a redirect URI that was registered, and so parsed before.
func origin(redirectURI string) string {
	u, err := url.Parse(redirectURI)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

const (
	maxUsername = 128
	maxPassword = 1024
)

// logIn checks the password and starts a login session.
func (i interaction) logIn() (goidc.Status, error) {
	username := strings.TrimSpace(i.r.PostForm.Get("username"))
	password := i.r.PostForm.Get("password")
	if username == "" || password == "" || len(username) > maxUsername || len(password) > maxPassword {
		return i.showSignIn(http.StatusBadRequest, "", "Type your username and your password.")
	}
	since, err := i.s.store.LastEnding(i.r.Context()) // before the password is looked at
	if err != nil {
		return i.unavailable(err)
	}
	result, err := i.s.users.checkPassword(i.r.Context(), username, password)
	if err != nil {
		return i.unavailable(err)
	}
	switch result.Result {
	case passwordLocked:
		return i.showLocked(username, result)
	case passwordRefused:
		// One message for both: it must not tell which usernames exist.
		return i.showSignIn(http.StatusForbidden, username, "The username or the password is not right.")
	}
	login := store.Login{UserID: result.User.ID, Username: result.User.Username, Name: result.User.Name, AuthTime: i.s.now()}
	value, err := i.s.signIn(i.w, i.r, login, since)
	if errors.Is(err, store.ErrEnded) {
		return i.showSignIn(http.StatusForbidden, username, "The password was changed, or all access was ended, in this moment. Sign in again.")
	}
	if err != nil {
		return i.unavailable(err)
	}
	i.s.setUser(i.as, login, value)
	return i.next()
}

// showLocked says for how long no password is looked at.
func (i interaction) showLocked(username string, result passwordResult) (goidc.Status, error) {
	wait := time.Duration(max(1, result.RetryAfter)) * time.Second
	i.w.Header().Set("Retry-After", strconv.Itoa(int(wait.Seconds())))
	return i.showSignIn(http.StatusTooManyRequests, username, "Too many tries. Wait for "+inWordsFor(wait)+" and try again.")
}

// inWordsFor rounds a wait up to what people count in.
func inWordsFor(wait time.Duration) string {
	if wait <= time.Minute {
		return plural(int(wait.Seconds()), "second")
	}
	return plural(int((wait+time.Minute-1)/time.Minute), "minute")
}

func plural(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return strconv.Itoa(n) + " " + unit + "s"
}

// switchUser signs out and asks for the password of somebody else.
func (i interaction) switchUser() (goidc.Status, error) {
	if err := i.s.signOut(i.w, i.r); err != nil {
		return i.unavailable(err)
	}
	clearUser(i.as)
	return i.next()
}

// refuse shows why it does not go on here. The session stays as it is: who is
// not allowed in must not be able to end it for who is.
func (i interaction) refuse(status int, title, message string) (goidc.Status, error) {
	page.Problem{Status: status, Title: title, Message: message}.Write(i.w)
	return goidc.StatusPending, nil
}

// unavailable is for what the answer depends on and does not answer itself.
func (i interaction) unavailable(err error) (goidc.Status, error) {
	i.s.logger.ErrorContext(i.r.Context(), "cannot go on", "error", err)
	unavailablePage.Write(i.w)
	return goidc.StatusPending, nil
}
