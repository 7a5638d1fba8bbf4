// Package outbound holds what every request of ours to an authorization server obeys.
package outbound

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// CheckURL wants https, or http to this machine: keys and answers that can be altered
// on the way are none.
func CheckURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil {
		return errors.New("not a URL")
	}
	if u.Host == "" || u.User != nil || u.Fragment != "" {
		return fmt.Errorf("%s: not an absolute URL of a host", u.Redacted())
	}
	if u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()) {
		return nil
	}
	return fmt.Errorf("%s: neither https nor http to loopback", u.Redacted())
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Restrict gives a copy of the client, a default one when nil, that neither follows
// redirects nor waits longer.
func Restrict(c *http.Client, timeout time.Duration) *http.Client {
	restricted := http.Client{}
	if c != nil {
		restricted = *c
	}
	restricted.Timeout = timeout
	restricted.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &restricted
}

// ReadBody reads all of an answer with status 200, if it is no longer than limit.
func ReadBody(response *http.Response, limit int64) ([]byte, error) {
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("answered %d", response.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("answered more than %d bytes", limit)
	}
	return body, nil
}
