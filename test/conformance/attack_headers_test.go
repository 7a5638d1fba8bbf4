package conformance

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// mallory is what an attacker writes where only the edge may write.
const mallory = "mallory"

// forged are header fields of an attacker's that have come to the backend.
type forged struct {
	mu   sync.Mutex
	seen []string
}

func (f *forged) note(h http.Header) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, values := range h {
		if strings.Contains(name+strings.Join(values, " "), mallory) {
			f.seen = append(f.seen, name)
		}
	}
}

func (f *forged) names() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.seen)
}

func (f *forged) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = nil
}

// wire opens a connection that speaks HTTP/1.1 byte by byte.
func (x *target) wire(t *testing.T, address string, protocol string) net.Conn {
	t.Helper()
	dialer := &tls.Dialer{
		NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}},
		Config:    &tls.Config{RootCAs: x.roots, ServerName: "localhost", NextProtos: []string{protocol}},
	}
	conn, err := dialer.DialContext(t.Context(), "tcp", x.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(deadline)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// raw sends these bytes and gives all answers until the edge ends the connection,
// which the last request has to ask for.
func (x *target) raw(t *testing.T, address, request string) []answer {
	t.Helper()
	conn := x.wire(t, address, "http/1.1")
	go func() { _, _ = io.WriteString(conn, request) }() // the edge may answer, and close, before it has all
	return readAll(t, conn)
}

func write(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

// readAll reads answers until the end of the connection.
func readAll(t *testing.T, conn net.Conn) []answer {
	t.Helper()
	var answers []answer
	for reader := bufio.NewReader(conn); ; {
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			if failure, ok := err.(net.Error); ok && failure.Timeout() {
				t.Error("the edge neither answers nor ends the connection")
			}
			return answers
		}
		body, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		answers = append(answers, answer{response.StatusCode, response.Header, body})
	}
}

// one gives the only answer, or none.
func (x *target) one(t *testing.T, address, request string) answer {
	t.Helper()
	switch answers := x.raw(t, address, request); len(answers) {
	case 0:
		return answer{}
	case 1:
		return answers[0]
	default:
		t.Errorf("%d answers", len(answers))
		return answers[0]
	}
}

// identityAttacks send each field in a protected and in a public API, twice and named
// in Connection by HTTP/1.1, once by HTTP/2.
func (x *target) identityAttacks(t *testing.T, address string) []attack {
	client := x.from(t, address)
	token := x.everything()
	var attacks []attack
	for _, name := range slices.Concat(spoofed, []string{"X-Http_Method.Override", "x_http_method_override", "X-Forwarded-Prefix", "X-Userinfo", "OIDC_CLAIM_sub", "X-Forwarded-Client-Cert"}) {
		for where, path := range map[string]string{"protected": "/api/payments", "public": "/oauth/jwks"} {
			attacks = append(attacks, attack{
				name: name + ", " + where, want: passes, allowed: 2,
				do: func(t *testing.T) answer {
					got := x.ask(t, client, http.MethodGet, x.origin+path, withBearer(token), withHeader(http.CanonicalHeaderKey(name), mallory))
					if got.status != http.StatusOK {
						return got
					}
					return x.one(t, address, fmt.Sprintf("GET %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n%s: %s\r\n%s: %s\r\nConnection: close, %s\r\n\r\n",
						path, token, name, mallory, name, mallory, name))
				},
			})
		}
	}
	slices.SortFunc(attacks, func(a, b attack) int { return strings.Compare(a.name, b.name) })
	trailer := "POST /oauth/token HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTrailer: X-User-Id\r\nConnection: close\r\n\r\n" +
		"2\r\n{}\r\n0\r\nX-User-Id: " + mallory + "\r\n\r\n"
	takesAway := "GET /api/accounts HTTP/1.1\r\nHost: localhost\r\nConnection: close, Authorization\r\n\r\n"
	return append(attacks,
		attack{name: "in a trailer", want: passes, allowed: 1, do: func(t *testing.T) answer { return x.one(t, address, trailer) }},
		attack{name: "Authorization named in Connection, no token", want: nobody, do: func(t *testing.T) answer { return x.one(t, address, takesAway) }},
	)
}

// methodAttacks ask for what is allowed and mean something else.
func (x *target) methodAttacks(t *testing.T, address string) []attack {
	client := x.from(t, address)
	reader := withBearer(x.issuer.Token())
	var attacks []attack
	for _, name := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X_HTTP_Method_Override", "X-Original-Method"} {
		for _, method := range []string{"DELETE", "POST"} {
			attacks = append(attacks, attack{
				name: name + ": " + method + " on a GET", want: passes, allowed: 1,
				do: func(t *testing.T) answer {
					got := x.get(client, reader, withHeader(http.CanonicalHeaderKey(name), method+mallory))(t)
					if sent := x.service.lastRequest(); got.status == http.StatusOK && sent.Method != http.MethodGet {
						t.Errorf("arrives as %s", sent.Method)
					}
					return got
				},
			})
		}
		attacks = append(attacks, attack{
			name: name + ": GET on a DELETE", want: noMethod,
			do: func(t *testing.T) answer {
				return x.ask(t, client, http.MethodDelete, x.origin+"/api/accounts", reader, withHeader(http.CanonicalHeaderKey(name), "GET"))
			},
		})
	}
	for _, method := range []string{"TRACE", "CONNECT", "PROPFIND", "get", "GET_", "PRI"} {
		attacks = append(attacks, attack{
			name: method, want: noMethod,
			do: func(t *testing.T) answer {
				return x.one(t, address, method+" /api/accounts HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
			},
		})
	}
	return attacks
}

// pathAttacks have a token for everything, and still get nothing by another name.
func (x *target) pathAttacks(t *testing.T, address string) []attack {
	token := x.everything()
	var attacks []attack
	for _, path := range slices.Sorted(maps.Keys(pathTricks)) {
		want := notCanonical
		switch status := pathTricks[path]; {
		case status == http.StatusNotFound:
			want = notFound
		case isUnreadable(path):
			want = unreadable
		}
		attacks = append(attacks, attack{
			name: fmt.Sprintf("%q", path), want: want,
			do: func(t *testing.T) answer {
				return x.one(t, address, fmt.Sprintf("GET %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nConnection: close\r\n\r\n", path, token))
			},
		})
	}
	for _, path := range []string{"/API/payments", "/api/Payments", "/api/payments/1/CONFIRM", "/OAUTH/jwks", "/api/payments/", "/api/payments/1/", "/api/payments.json", "/internal/users/1"} {
		attacks = append(attacks, attack{
			name: path, want: notFound,
			do: func(t *testing.T) answer {
				return x.one(t, address, fmt.Sprintf("GET %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nConnection: close\r\n\r\n", path, token))
			},
		})
	}
	return attacks
}

// isUnreadable knows the targets that no HTTP server takes.
func isUnreadable(target string) bool {
	return strings.HasSuffix(target, "/%") || strings.Contains(target, "%zz") || target == "api/payments"
}

// sizeAttacks send more than the 32 KB of header that the shipped file allows.
func (x *target) sizeAttacks(t *testing.T, address string) []attack {
	token := x.everything()
	var attacks []attack
	for _, kib := range []int{64, 256, 1024} {
		for name, fields := range map[string]string{
			"in one field":       "X-Large: " + strings.Repeat("a", kib<<10) + "\r\n",
			"in many fields":     strings.Repeat("X-Many: "+strings.Repeat("a", 90)+"\r\n", kib*1024/100),
			"in Authorization":   "Authorization: Bearer " + strings.Repeat("a", kib<<10) + "\r\n",
			"in DPoP":            "DPoP: " + strings.Repeat("a", kib<<10) + "\r\n",
			"without any end":    "X-Large: " + strings.Repeat("a", kib<<10),
			"in the name itself": strings.Repeat("a", kib<<10) + ": a\r\n",
		} {
			attacks = append(attacks, attack{
				name: fmt.Sprintf("%d KiB %s", kib, name), want: tooLarge,
				do: func(t *testing.T) answer {
					return x.one(t, address, "GET /api/payments HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "+token+"\r\n"+fields+"\r\nConnection: close\r\n\r\n")
				},
			})
		}
	}
	slices.SortFunc(attacks, func(a, b attack) int { return strings.Compare(a.name, b.name) })
	return append(attacks, x.largeHTTP2(address)...)
}
