package seamless

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

func open(t *testing.T, port string) net.Listener {
	t.Helper()
	l, err := listen(context.Background(), network, "127.0.0.1", port, 0, net.ListenConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return l.(net.Listener)
}

// TestWaitingConnectionsOutliveTheirListener: connections that the old
// configuration has not accepted yet are the new one's, whole.
func TestWaitingConnectionsOutliveTheirListener(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	old := open(t, port)
	const waiting = 20
	var callers []net.Conn
	for i := range waiting {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if _, err := fmt.Fprintf(c, "%02d", i); err != nil {
			t.Fatal(err)
		}
		callers = append(callers, c)
	}
	next := open(t, port)
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := old.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the old listener still accepts: %v", err)
	}
	seen := make(map[string]bool)
	for range callers {
		c, err := next.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		text := make([]byte, 2)
		if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(text); err != nil {
			t.Fatalf("a waiting connection was lost: %v", err)
		}
		seen[string(text)] = true
	}
	if len(seen) != waiting {
		t.Errorf("%d of %d connections came through", len(seen), waiting)
	}
	if err := next.Close(); err != nil {
		t.Fatal(err)
	}
	if c, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
		_ = c.Close()
		t.Error("the port is open after the last listener was closed")
	}
}

func TestCloseTwiceReleasesOnce(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	one, two := open(t, port), open(t, port)
	_ = one.Close()
	_ = one.Close()
	c, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatalf("closing one listener twice closed the other: %v", err)
	}
	_ = c.Close()
	_ = two.Close()
}

func TestErrors(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	port := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	for name, c := range map[string]struct{ port, want string }{
		"taken": {port, "address already in use"},
		"range": {"80-90", `"80-90" is not one port`},
	} {
		if _, err := listen(context.Background(), network, "127.0.0.1", c.port, 0, net.ListenConfig{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	// A failed attempt leaves nothing behind.
	_ = taken.Close()
	_ = open(t, port).Close()
}
