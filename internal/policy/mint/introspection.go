package mint

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Issuers answer what an edge asks issuers about opaque tokens (RFC 7662), without a
// network. They are safe for concurrent use.
type Issuers struct {
	Mint *Mint
	Now  func() time.Time
	// Endpoints are the issuers by where they are asked about tokens.
	Endpoints map[string]Asked

	mu     sync.Mutex
	opaque map[string]opaque
}

// Asked is an issuer that is asked.
type Asked struct {
	Issuer string
	// Audience of answers that are signed.
	Audience string
	// Algorithm that it signs answers by (RFC 9701).
	Algorithm string
}

type opaque struct {
	issuer string
	claims map[string]any
}

// Endpoint is where an issuer is asked that names no other place.
func Endpoint(issuer string) string { return strings.TrimSuffix(issuer, "/") + "/introspect" }

// Know makes an opaque token known to its issuer; without claims it is not active.
func (i *Issuers) Know(raw, issuer string, claims map[string]any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.opaque == nil {
		i.opaque = make(map[string]opaque)
	}
	i.opaque[raw] = opaque{issuer, claims}
}

// RoundTrip answers.
func (i *Issuers) RoundTrip(r *http.Request) (*http.Response, error) {
	body := []byte(nil)
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(io.LimitReader(r.Body, 1<<20)); err != nil {
			return nil, err
		}
		_ = r.Body.Close()
	}
	if r.Method != http.MethodPost {
		return i.metadata(r), nil
	}
	asked, known := i.Endpoints[r.URL.String()]
	form, err := url.ParseQuery(string(body))
	if err != nil || !known {
		return answer(r, http.StatusNotFound, "text/plain", nil), nil
	}
	return i.introspect(r, asked, form.Get("token"))
}

// metadata says where to ask (RFC 8414).
func (i *Issuers) metadata(r *http.Request) *http.Response {
	for endpoint, asked := range i.Endpoints {
		if r.URL.Path != "" && strings.HasPrefix(asked.Issuer, r.URL.Scheme+"://"+r.URL.Host) && pathOf(asked.Issuer) == metadataOf(r.URL.Path) {
			document, err := json.Marshal(map[string]string{"issuer": asked.Issuer, "introspection_endpoint": endpoint})
			if err == nil {
				return answer(r, http.StatusOK, "application/json", document)
			}
		}
	}
	return answer(r, http.StatusNotFound, "text/plain", nil)
}

func pathOf(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(u.Path, "/")
}

// metadataOf gives the path of the issuer whose metadata is at a place.
func metadataOf(path string) string {
	path = strings.TrimSuffix(path, "/.well-known/openid-configuration")
	return strings.TrimPrefix(path, "/.well-known/oauth-authorization-server")
}

func (i *Issuers) introspect(r *http.Request, asked Asked, raw string) (*http.Response, error) {
	i.mu.Lock()
	known, found := i.opaque[raw]
	i.mu.Unlock()
	description := map[string]any{"active": false}
	if found && known.issuer == asked.Issuer && known.claims != nil {
		description = map[string]any{"active": true}
		for name, value := range known.claims {
			description[name] = value
		}
	}
	const signed = "application/token-introspection+jwt"
	if r.Header.Get("Accept") != signed {
		document, err := json.Marshal(description)
		return answer(r, http.StatusOK, "application/json", document), err
	}
	claims := map[string]any{"iss": asked.Issuer, "aud": asked.Audience, "iat": i.Now().Unix(), "token_introspection": description}
	document, err := i.Mint.Sign(asked.Issuer, asked.Algorithm, map[string]any{"typ": "token-introspection+jwt"}, claims)
	return answer(r, http.StatusOK, signed, []byte(document)), err
}

func answer(r *http.Request, status int, kind string, body []byte) *http.Response {
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {kind}}, Request: r, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}
}
