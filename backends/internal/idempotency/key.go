package idempotency

import (
	"net/http"
	"strings"

	"github.com/open-tollgate/tollgate/internal/problem"
)

// Header is the request field that carries the key.
const Header = "Idempotency-Key"

// maxKey bounds a key, in bytes.
const maxKey = 255

// Key reads the request's key. The draft makes it a structured-field string, in
// quotes; most clients in the world send it bare. Both forms of one key are equal.
func Key(r *http.Request) (string, *problem.Problem) {
	values := r.Header.Values(Header)
	if len(values) == 0 {
		return "", problem.New(http.StatusBadRequest, "idempotency_key_missing",
			"This operation needs an Idempotency-Key, so that a retry cannot repeat it.")
	}
	key, ok := "", false
	if len(values) == 1 {
		key, ok = parse(strings.Trim(values[0], " \t"))
	}
	if !ok {
		return "", problem.New(http.StatusBadRequest, "idempotency_key_malformed",
			"Idempotency-Key must be one string of 1 to 255 printable characters.")
	}
	return key, nil
}

func parse(value string) (key string, ok bool) {
	if strings.HasPrefix(value, `"`) {
		key, ok = unquote(value)
	} else {
		key, ok = value, !strings.ContainsFunc(value, notBare)
	}
	return key, ok && key != "" && len(key) <= maxKey
}

// notBare tells characters that a bare key cannot have: what would make a list,
// parameters or a quoted string of it.
func notBare(c rune) bool {
	return c <= ' ' || c > '~' || strings.ContainsRune(`",;\`, c)
}

// unquote reads a String of RFC 8941 section 3.3.3, without parameters.
func unquote(value string) (string, bool) {
	var key strings.Builder
	for i := 1; i < len(value); i++ {
		switch c := value[i]; {
		case c == '"':
			return key.String(), i == len(value)-1
		case c == '\\':
			i++
			if i == len(value) || (value[i] != '"' && value[i] != '\\') {
				return "", false
			}
			key.WriteByte(value[i])
		case c < ' ' || c > '~':
			return "", false
		default:
			key.WriteByte(c)
		}
	}
	return "", false
}
