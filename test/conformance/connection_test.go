package conformance

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestTrailersStayAtTheEdge sends identity headers where they come after the body: a
// backend may merge what it finds there with the header, announced or not.
func TestTrailersStayAtTheEdge(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	token := p.everything()
	for _, path := range []string{"/api/payments", "/oauth/token"} {
		for _, announced := range []string{"Foo", "X-User-Id", "X-User-Id, Authorization"} {
			conn := p.dial(t)
			if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nTransfer-Encoding: chunked\r\nTrailer: %s\r\nConnection: close\r\n\r\n"+
				"2\r\n{}\r\n0\r\nFoo: mallory\r\nX-User-Id: mallory\r\n\r\n", path, token, announced); err != nil {
				t.Fatal(err)
			}
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := read(t, response); got.status != http.StatusOK {
				t.Fatalf("%s: %d %s", path, got.status, got.body)
			}
			p.expectNoTrailer(t, "HTTP/1.1, "+announced)
		}
		got := p.do(t, http.MethodPost, path, withBearer(token), func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader("{}")), -1
			r.Trailer = http.Header{"Foo": {"mallory"}, "X-User-Id": {"mallory"}}
		})
		if got.status != http.StatusOK {
			t.Fatalf("%s: %d %s", path, got.status, got.body)
		}
		p.expectNoTrailer(t, "HTTP/2")
	}
}

func (p *platform) expectNoTrailer(t *testing.T, sent string) {
	t.Helper()
	arrived := p.service.lastRequest()
	if len(arrived.Trailer) != 0 || arrived.Header.Get("X-User-Id") != "" {
		t.Errorf("%s: %s arrives with trailers %v", sent, arrived.URL.Path, arrived.Trailer)
	}
}

// tunnelConfig has an API that says WebSocket aloud and one that does not.
const tunnelConfig = `{
	admin {$TOLLGATE_ADMIN}
	auto_https off
}
http://{$ADDRESS} {
	api plain /plain {
		public
		strip X-Tenant
		reverse_proxy {$SERVICE}
	}
	api socket /socket {
		public
		websocket
		reverse_proxy {$SERVICE}
	}
}
`

// TestUpgradeOpensNoTunnel has a backend that changes to whatever it is asked for.
func TestUpgradeOpensNoTunnel(t *testing.T) {
	t.Parallel()
	service := httptest.NewServer(http.HandlerFunc(changeProtocol))
	t.Cleanup(service.Close)
	address := freeAddress(t)
	startEdge(t, writeConfig(t, "Caddyfile", tunnelConfig), "TOLLGATE_ADMIN="+freeAddress(t),
		"ADDRESS="+address, "SERVICE="+service.Listener.Addr().String())

	tests := []struct {
		name, method, path, fields string
		tunnel                     bool
	}{
		{"h2c", "GET", "/plain", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n", false},
		{"a name of the operator's", "GET", "/plain", "X-Tenant: mallory\r\n", false},
		{"anything", "GET", "/plain", "Connection: Upgrade\r\nUpgrade: mallory\r\n", false},
		{"websocket, not allowed", "GET", "/plain", "Connection: Upgrade\r\nUpgrade: websocket\r\n", false},
		{"websocket", "GET", "/socket", "Connection: Upgrade\r\nUpgrade: websocket\r\n", true},
		{"websocket by POST", "POST", "/socket", "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n", false},
		{"h2c where websocket is allowed", "GET", "/socket", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n", false},
		{"both", "GET", "/socket", "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n", false},
	}
	for _, test := range tests {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", test.method, test.path, address, test.fields); err != nil {
			t.Fatal(err)
		}
		reader := bufio.NewReader(conn)
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		if opened := response.StatusCode == http.StatusSwitchingProtocols; opened != test.tunnel {
			t.Errorf("%s: %s", test.name, response.Status)
		} else if !opened {
			if got := read(t, response); string(got.body) != "no upgrade" {
				t.Errorf("%s: the service sees %q", test.name, got.body)
			}
		} else if line := echo(t, conn, reader); line != "hello\n" {
			t.Errorf("%s: %q comes back", test.name, line)
		}
	}
}

func echo(t *testing.T, conn net.Conn, reader *bufio.Reader) string {
	t.Helper()
	if _, err := io.WriteString(conn, "hello\n"); err != nil {
		t.Fatal(err)
	}
	line, err := reader.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// changeProtocol says yes to every Upgrade, and then repeats what it is sent.
func changeProtocol(w http.ResponseWriter, r *http.Request) {
	protocol := r.Header.Get("Upgrade")
	if protocol == "" && r.Header.Get("Http2-Settings") == "" {
		_, _ = io.WriteString(w, "no upgrade"+r.Header.Get("X-Tenant"))
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	_, _ = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", protocol)
	_, _ = io.Copy(conn, buffered)
}
