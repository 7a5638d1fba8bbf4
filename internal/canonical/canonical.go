// Package canonical decides whether a request's path can be read in one way only.
//
// The edge judges a path and the backend acts on it. Where the two could read it
// differently, the policy of one path would be applied to another. Such a path is
// refused, never repaired: then the string that was judged is the one forwarded.
package canonical

import (
	"errors"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What can be wrong with a path. The texts are for the caller and repeat nothing of the request.
var (
	ErrForm       = errors.New("the request target has no absolute path")
	ErrRewritten  = errors.New("the path changes when it is encoded again")
	ErrDotSegment = errors.New("the path has a dot segment")
	ErrEmpty      = errors.New("the path has an empty segment")
	ErrCharacter  = errors.New("the path has a character that must not be in a path")
	ErrEncoding   = errors.New("the path encodes a character that must not be encoded, or encodes it wrongly")
	ErrUTF8       = errors.New("the path is not valid UTF-8")
)

// Check says what is wrong with the path of a request, or gives nil. target is the
// request target as it was received (http.Request.RequestURI), u what became of it
// and what the backend will be sent.
func Check(u *url.URL, target string) error {
	path := u.EscapedPath()
	if !strings.HasPrefix(path, "/") {
		return ErrForm
	}
	if targetPath(target) != path {
		return ErrRewritten
	}
	if err := checkCharacters(path); err != nil {
		return err
	}
	if err := checkSegments(path); err != nil {
		return err
	}
	return checkDecoded(u.Path)
}

// targetPath gives the path in the origin form and in the absolute form (RFC 9112
// section 3.2), which a server has to accept as well.
func targetPath(target string) string {
	if !strings.HasPrefix(target, "/") {
		_, rest, _ := strings.Cut(target, "://")
		target = rest[max(0, strings.IndexByte(rest, '/')):]
	}
	path, _, _ := strings.Cut(target, "?")
	return path
}

// checkCharacters holds each byte against the grammar of RFC 3986 section 3.3.
func checkCharacters(path string) error {
	for i := 0; i < len(path); i++ {
		c := path[i]
		switch {
		case c == '/' || isPlain(c):
		case c == '%':
			if !isEncodable(path[i:]) {
				return ErrEncoding
			}
			i += 2
		default:
			return ErrCharacter
		}
	}
	return nil
}

// isPlain says whether a byte may stand for itself in a segment: pchar of RFC 3986
// without the semicolon, because some servers cut a segment there ("/admin;x").
func isPlain(c byte) bool {
	return isUnreserved(c) || strings.IndexByte("!$&'()*+,=:@", c) >= 0
}

func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

// isEncodable says whether s starts with a percent-encoded byte that is no other
// spelling of an unreserved character (RFC 3986 section 6.2.2.2), and that does not
// delimit anything once it is decoded, be it once or twice.
func isEncodable(s string) bool {
	if len(s) < 3 {
		return false
	}
	high, low := unhex(s[1]), unhex(s[2])
	if high < 0 || low < 0 {
		return false
	}
	c := byte(high<<4 | low)
	return c >= ' ' && c != 0x7f && !isUnreserved(c) && strings.IndexByte(`/\;?#%`, c) < 0
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	default:
		return -1
	}
}

// checkSegments refuses "//", "." and "..". One slash at the end is fine.
func checkSegments(path string) error {
	rest := path[1:]
	for rest != "" {
		segment, tail, more := strings.Cut(rest, "/")
		switch segment {
		case "":
			return ErrEmpty
		case ".", "..":
			return ErrDotSegment
		}
		if !more {
			return nil
		}
		rest = tail
	}
	return nil
}

// checkDecoded refuses what no spelling can excuse: bytes that are not UTF-8, overlong
// forms among them, and control characters beyond ASCII.
func checkDecoded(path string) error {
	if !utf8.ValidString(path) {
		return ErrUTF8
	}
	for _, r := range path {
		if unicode.IsControl(r) {
			return ErrCharacter
		}
	}
	return nil
}
