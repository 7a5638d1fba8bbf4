// Package seamless is a network for `bind` on which a reload loses no connection:
//
//	bind seamless/ADDRESS
//	default_bind seamless/ADDRESS
//
// On "tcp", Caddy opens a second socket for the new configuration (SO_REUSEPORT)
// and then closes the first. Linux resets the connections that were waiting on the
// first one to be accepted, which under load is some at each reload. Here all
// configurations accept from one socket, and it closes with the last of them.
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

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// network is the word in front of the slash.
const network = "seamless"

func init() {
	caddy.RegisterNetwork(network, listen)
	caddyhttp.RegisterNetworkHTTP3(network, "udp") // which Caddy hands on by itself
}

// sockets keeps one socket for each address. It is no caddy.UsagePool: that gives an
// address free before it closes, so that whoever listens right then finds it in use.
var (
	mu      sync.Mutex
	sockets = make(map[string]*socket)
)

// socket is the one that all listeners of an address share. Nobody accepts from it
// directly.
type socket struct {
	*net.TCPListener
	holders int
}

// listen gives a listener of its own to each configuration.
func listen(ctx context.Context, _, host, portRange string, portOffset uint, config net.ListenConfig) (any, error) {
	address, err := addressOf(host, portRange, portOffset)
	if err != nil {
		return nil, err
	}
	mu.Lock()
	defer mu.Unlock()
	shared, err := open(ctx, address, config)
	if err != nil {
		return nil, err
	}
	own, err := duplicate(shared)
	if err != nil {
		return nil, errors.Join(err, release(address))
	}
	return &listener{Listener: own, address: address, keepAlive: config.KeepAliveConfig}, nil
}

func addressOf(host, portRange string, portOffset uint) (string, error) {
	start, _, _ := strings.Cut(portRange, "-")
	first, err := strconv.ParseUint(start, 10, 16)
	if err != nil {
		return "", fmt.Errorf("%s: %q is not a port", network, portRange)
	}
	return net.JoinHostPort(host, strconv.FormatUint(first+uint64(portOffset), 10)), nil
}

// open gives the socket of an address, with one more holder.
func open(ctx context.Context, address string, config net.ListenConfig) (*socket, error) {
	shared, ok := sockets[address]
	if !ok {
		opened, err := config.Listen(ctx, "tcp", address)
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("%w: by another process, or by what runs now under another address, which takes a restart to change", err)
		}
		if err != nil {
			return nil, err
		}
		shared = &socket{TCPListener: opened.(*net.TCPListener)}
		sockets[address] = shared
	}
	shared.holders++
	return shared, nil
}

// release takes a holder away, and closes the socket with the last one.
func release(address string) error {
	shared := sockets[address]
	if shared.holders--; shared.holders > 0 {
		return nil
	}
	delete(sockets, address)
	return shared.Close()
}

// duplicate gives another descriptor of the same socket. Its queue of waiting
// connections lives for as long as any of them is open.
func duplicate(s *socket) (net.Listener, error) {
	file, err := s.File()
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // FileListener duplicates once more
	return net.FileListener(file)
}

// listener is one configuration's hold on the socket.
type listener struct {
	net.Listener
	address   string
	keepAlive net.KeepAliveConfig
	close     sync.Once
}

// Accept does to a connection what net.ListenConfig would: a listener that was made
// from a descriptor does not know its configuration.
func (l *listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if tcp, ok := conn.(*net.TCPConn); ok && l.keepAlive.Enable {
		_ = tcp.SetKeepAliveConfig(l.keepAlive) // fails on a connection that is gone already
	}
	return conn, nil
}

// Close ends this configuration's accepting; the others go on.
func (l *listener) Close() error {
	err := net.ErrClosed
	l.close.Do(func() {
		mu.Lock()
		defer mu.Unlock()
		err = errors.Join(l.Listener.Close(), release(l.address))
	})
	return err
}
