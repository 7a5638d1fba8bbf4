package dpop

import (
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/open-tollgate/tollgate/internal/jose"
)

// proof is the payload of a DPoP proof (RFC 9449 section 4.2).
type proof struct {
	id        string
	method    string
	uri       string
	at        time.Time
	tokenHash string
	nonce     string // empty when there is none
}

// parseProof reads the claims; all but the nonce are required beside an access token,
// and more than these may be there.
func parseProof(payload []byte) (proof, error) {
	claims, err := jose.ParseObject(payload)
	if err != nil {
		return proof{}, err
	}
	var p proof
	for name, to := range map[string]*string{"jti": &p.id, "htm": &p.method, "htu": &p.uri, "ath": &p.tokenHash} {
		text, ok := claims[name].(string)
		if !ok || text == "" {
			return proof{}, errors.New("claim " + name)
		}
		*to = text
	}
	if len(p.id) > maxID {
		return proof{}, errors.New("jti too long")
	}
	if nonce, present := claims["nonce"]; present {
		text, ok := nonce.(string)
		if !ok {
			return proof{}, errors.New("claim nonce")
		}
		p.nonce = text
	}
	p.at, err = jose.NumericDate(claims["iat"])
	if err != nil {
		return proof{}, errors.New("claim iat")
	}
	return p, nil
}

// splitURI normalises an "htu" and splits it into origin and path: query and
// fragment go, scheme and host become lower case, the scheme's default port goes
// (RFC 9449 section 4.3, RFC 3986 sections 6.2.2.1 and 6.2.3). The path stays as it
// is: what looks equal to one server is two resources to another.
func splitURI(raw string) (origin, path string, err error) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", "", errors.New("not a URI") // url's words quote the proof
	}
	if u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return "", "", errors.New("not an http URI")
	}
	host := strings.ToLower(u.Host)
	if port := u.Port(); port == "" || port == defaultPort(u.Scheme) {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return u.Scheme + "://" + host, pathOf(u), nil
}

func defaultPort(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}

// pathOf gives the path as it was spelled; an empty one is the root.
func pathOf(u *url.URL) string {
	if path := u.EscapedPath(); path != "" {
		return path
	}
	return "/"
}
