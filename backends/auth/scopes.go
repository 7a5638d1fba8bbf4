package auth

import (
	"slices"
	"strings"

	"github.com/luikyv/go-oidc/pkg/goidc"
)

// scope says who may give a client a scope, and how a person would put it.
type scope struct {
	name   string
	user   bool   // a user can consent to it
	client bool   // a client can have it for itself (client credentials)
	words  string // for the consent page
	// internal is for a service of the platform, registered as a client of its own: its
	// tokens are for the internal audience, and good for nothing at the edge.
	internal bool
}

// scopes are all that there are. What is not here cannot be registered, asked
// for or granted; what this server itself may do at the other services is not here.
var scopes = []scope{
	{name: "openid", user: true, words: "Know that it is you"},
	{name: "profile:read", user: true, words: "Read your name and e-mail address"},
	{name: "profile:write", user: true, words: "Change your name and e-mail address"},
	{name: "profile:export", user: true, words: "Download everything that is stored about you"},
	{name: "profile:delete", user: true, words: "Close your account for good and delete your data"},
	{name: "password:write", user: true, words: "Change your password, if you type the old one there"},
	{name: "consents:read", user: true, words: "See which apps you gave access to"},
	{name: "consents:write", user: true, words: "Take access away from apps"},
	{name: "accounts:read", user: true, words: "See your accounts, balances and transactions"},
	{name: "accounts:write", user: true, words: "Open accounts for you"},
	{name: "payments:create", client: true},
	{name: "payments:read", user: true, client: true, words: "See payments that it asked you for"},
	{name: scopeConfirm, user: true, words: "Carry out the payment shown here, once"},
	{name: "payments:capture", client: true},
	{name: "payments:refund", client: true},
	{name: "users:create", client: true},
	// For the bank's own officers. A user cannot consent to them: a customer is no officer.
	{name: "risk:read", client: true},
	{name: "risk:write", client: true},
	{name: "webhooks:read", client: true},
	{name: "webhooks:write", client: true},
	{name: scopeGrants, client: true, internal: true},
	{name: "internal:customers", client: true, internal: true}, // of the users service, at payments
}

// scopeConfirm is worth nothing without the payment that it is for.
const scopeConfirm = "payments:confirm"

func findScope(name string) (scope, bool) {
	i := slices.IndexFunc(scopes, func(s scope) bool { return s.name == name })
	if i < 0 {
		return scope{}, false
	}
	return scopes[i], true
}

// userMay tells whether a user can consent to every one of the scopes.
func userMay(names []string) bool {
	return all(names, func(s scope) bool { return s.user })
}

// clientMay tells whether a client can have every one of the scopes for itself.
func clientMay(names []string) bool {
	return all(names, func(s scope) bool { return s.client })
}

func all(names []string, ok func(scope) bool) bool {
	for _, name := range names {
		if s, known := findScope(name); !known || !ok(s) {
			return false
		}
	}
	return true
}

// forServices tells whether one of the scopes is for the platform's own services.
func forServices(names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		s, known := findScope(name)
		return known && s.internal
	})
}

// subset tells whether each of the space-separated scopes is among the others.
func subset(names, of string) bool {
	allowed := strings.Fields(of)
	for name := range strings.FieldsSeq(names) {
		if !slices.Contains(allowed, name) {
			return false
		}
	}
	return true
}

// inWords gives the scopes as the consent page shows them.
func inWords(names []string) []string {
	var words []string
	for _, name := range names {
		if s, known := findScope(name); known && s.words != "" {
			words = append(words, s.words)
		}
	}
	return words
}

func libraryScopes() []goidc.Scope {
	list := make([]goidc.Scope, len(scopes))
	for i, s := range scopes {
		list[i] = goidc.NewScope(s.name)
	}
	return list
}
