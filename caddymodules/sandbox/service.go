package sandbox

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// service is the transport of every reverse_proxy: it answers in place of the upstream.
type service struct {
	Scheme string `json:"scheme"`
}

// CaddyModule returns the Caddy module information.
func (service) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.reverse_proxy.transport." + serviceName, New: func() caddy.Module { return new(service) }}
}

// RoundTrip reads the request as a service would, and answers.
func (s *service) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer func() { _ = r.Body.Close() }()
		if _, err := io.Copy(io.Discard, r.Body); err != nil { // more than the edge lets through
			return nil, fmt.Errorf("the body does not arrive: %w", err)
		}
	}
	t, service := met(r.Context()), callOf(r.Context()).Service
	address := r.URL.Host
	if dialed, ok := reverseproxy.GetDialInfo(r.Context()); ok && dialed.Upstream != nil {
		address = dialed.Upstream.Dial
	}
	if address == dynamicUpstream {
		address = "(dynamic)"
	}
	t.Upstreams, t.Forwarded = append(t.Upstreams, s.Scheme+"://"+address), r.Header.Clone()
	answer := &http.Response{
		StatusCode: cmp.Or(service.Status, http.StatusOK), Header: service.Header.Clone(), Request: r,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(strings.NewReader(service.Body)), ContentLength: int64(len(service.Body)),
	}
	if answer.Header == nil {
		answer.Header = make(http.Header)
	}
	return answer, nil
}
