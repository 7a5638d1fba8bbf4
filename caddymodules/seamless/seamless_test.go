package seamless

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
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

func hold(t *testing.T, port string) net.Listener {
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
	old := hold(t, port)
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
	next := hold(t, port)
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
	one, two := hold(t, port), hold(t, port)
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
		"taken":   {port, "address already in use"},
		"no port": {"http", `"http" is not a port`},
	} {
		if _, err := listen(context.Background(), network, "127.0.0.1", c.port, 0, net.ListenConfig{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	// A failed attempt leaves nothing behind.
	_ = taken.Close()
	_ = hold(t, port).Close()
}

// TestRangeOfPorts gives each port of a range a socket of its own.
func TestRangeOfPorts(t *testing.T) {
	t.Parallel()
	for portRange, want := range map[string]string{"8080-8090": "[::1]:8083", "8083": "[::1]:8086"} {
		if got, err := addressOf("::1", portRange, 3); err != nil || got != want {
			t.Errorf("%s: %s, %v", portRange, got, err)
		}
	}
}

// TestAddressIsFreeWhenNobodyListens has configurations come and go on one address:
// it is never found in use by the one that just left.
func TestAddressIsFreeWhenNobodyListens(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 500 {
				l, err := listen(context.Background(), network, "127.0.0.1", port, 0, net.ListenConfig{})
				if err != nil {
					t.Error(err)
					return
				}
				_ = l.(net.Listener).Close()
			}
		})
	}
	all.Wait()
}

// TestKeepAliveIsTheConfigurations: a duplicated listener would use Go's own.
func TestKeepAliveIsTheConfigurations(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	const idle = 123 * time.Second
	config := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: idle}}
	l, err := listen(context.Background(), network, "127.0.0.1", port, 0, config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.(net.Listener).Close() }()
	caller, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = caller.Close() }()
	conn, err := l.(net.Listener).Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var seconds int
	if err := errors.Join(raw.Control(func(fd uintptr) {
		seconds, err = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE)
	}), err); err != nil || seconds != int(idle.Seconds()) {
		t.Errorf("keep-alive after %d s, %v", seconds, err)
	}
}

// TestNothingIsLeft: the last to close closes the socket.
func TestNothingIsLeft(t *testing.T) {
	port := freePort(t)
	one, two := hold(t, port), hold(t, port)
	address := net.JoinHostPort("127.0.0.1", port)
	if holders := sockets[address].holders; holders != 2 {
		t.Errorf("%d holders", holders)
	}
	if err := errors.Join(one.Close(), two.Close()); err != nil {
		t.Error(err)
	}
	if _, ok := sockets[address]; ok {
		t.Error("the socket is still there")
	}
}
