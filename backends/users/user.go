package users

import (
	"net/mail"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/open-tollgate/tollgate/backends/internal/cardnumber"
	"github.com/open-tollgate/tollgate/backends/internal/vault"
)

// User is a person with an account.
type User struct {
	ID       string
	Username string // what they sign in with, normalised; it never changes
	Name     string
	Email    string
	Phone    string // "" for none
	Locale   string
	Version  int64

	CreatedAt time.Time
	UpdatedAt time.Time

	passwordHash string
	key          *vault.Vault // seals what is personal; nil before the user is stored
}

const (
	maxUsername   = 254 // an e-mail address serves as one
	maxName       = 100
	maxEmail      = 254 // RFC 5321 section 4.5.3.1.3, less the angle brackets
	minPassword   = 12
	maxPassword   = 256
	defaultLocale = "en"
)

var (
	usernamePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._@+-]*$`)
	phonePattern    = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`) // E.164
	localePattern   = regexp.MustCompile(`^[a-z]{2,3}(-[A-Z]{2})?$`)
)

// normaliseUsername makes one name of the ways to type it.
func normaliseUsername(typed string) string { return strings.ToLower(strings.TrimSpace(typed)) }

// normaliseEmail lowers the domain, where case never matters. In front of the @
// it may, for whoever runs that mailbox.
func normaliseEmail(typed string) string {
	typed = strings.TrimSpace(typed)
	at := strings.LastIndexByte(typed, '@')
	return typed[:at+1] + strings.ToLower(typed[at+1:])
}

// Each check gives what is wrong with a normalised value, or "".

func checkUsername(username string) string {
	if !canBeUsername(username) {
		return "must be 1 to 254 of a-z, 0-9 and . _ @ + -, and begin with a letter or digit"
	}
	return noCard(username)
}

// canBeUsername is what holds for every name that was ever given, also before a rule for
// new ones came.
func canBeUsername(username string) bool {
	return len(username) <= maxUsername && usernamePattern.MatchString(username)
}

func checkEmail(email string) string {
	const refusal = "must be an e-mail address such as ada@example.com"
	address, err := mail.ParseAddress(email)
	if err != nil || address.Address != email || len(email) > maxEmail || strings.ContainsFunc(email, notPlainASCII) {
		return refusal
	}
	if domain := email[strings.LastIndexByte(email, '@')+1:]; !strings.Contains(domain, ".") {
		return refusal
	}
	return noCard(email)
}

func notPlainASCII(r rune) bool { return r <= ' ' || r > '~' || r == '"' }

func checkName(name string) string {
	if name == "" || utf8.RuneCountInString(name) > maxName {
		return "must have 1 to 100 characters"
	}
	if strings.ContainsFunc(name, unprintable) {
		return "must not contain control characters"
	}
	return noCard(name)
}

// noCard is for what people can write what they like into. A telephone number is not: as
// many of 13 digits and more pass the Luhn test by chance as of any other numbers.
func noCard(text string) string {
	if cardnumber.In(text) {
		return "must not hold a card number"
	}
	return ""
}

// unprintable also covers the characters that turn text around, which could
// make a name look like another one on a consent page.
func unprintable(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }

func checkPhone(phone string) string {
	if !phonePattern.MatchString(phone) {
		return "must be a number in international form, such as +441632960001"
	}
	return ""
}

func checkLocale(locale string) string {
	if !localePattern.MatchString(locale) {
		return "must be a language such as en, or one with a country such as en-GB"
	}
	return ""
}

// checkPassword asks for length, which helps, and not for kinds of characters,
// which do not (NIST SP 800-63B section 3.1.1.2).
func checkPassword(password, username string) string {
	switch length := utf8.RuneCountInString(password); {
	case length < minPassword || len(password) > maxPassword:
		return "must have at least 12 characters and at most 256 bytes"
	case strings.Trim(password, password[:1]) == "":
		return "must not be one character repeated"
	case strings.EqualFold(password, username):
		return "must not be the name to sign in with"
	}
	return ""
}
