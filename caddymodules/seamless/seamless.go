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
	"fmt"
	"net"
	"strconv"
	"sync"

	"github.com/caddyserver/caddy/v2"
)

// network is the word in front of the slash.
const network = "seamless"

func init() {
	caddy.RegisterNetwork(network, listen)
}

// sockets keeps one socket for each address.
var sockets = caddy.NewUsagePool()

// socket is the one that all listeners of an address share. Nobody accepts from it
// directly.
type socket struct{ *net.TCPListener }

// Destruct closes the socket when no configuration listens on it any more.
func (s socket) Destruct() error { return s.Close() }

// listen gives a listener of its own to each configuration.
func listen(ctx context.Context, _, host, portRange string, portOffset uint, config net.ListenConfig) (any, error) {
	first, err := strconv.ParseUint(portRange, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("%s: port %q is not one port", network, portRange)
	}
	address := net.JoinHostPort(host, strconv.FormatUint(first+uint64(portOffset), 10))
	shared, _, err := sockets.LoadOrNew(address, func() (caddy.Destructor, error) {
		opened, err := config.Listen(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		return socket{opened.(*net.TCPListener)}, nil
	})
	if err != nil {
		return nil, err
	}
	own, err := duplicate(shared.(socket))
	if err != nil {
		_, _ = sockets.Delete(address) // the first error is the one to tell
		return nil, err
	}
	return &listener{Listener: own, address: address}, nil
}

// duplicate gives another descriptor of the same socket. Its queue of waiting
// connections lives for as long as any of them is open.
func duplicate(s socket) (net.Listener, error) {
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
	address string
	release sync.Once
}

// Close ends this configuration's accepting; the others go on.
func (l *listener) Close() error {
	err := l.Listener.Close()
	l.release.Do(func() {
		_, errDelete := sockets.Delete(l.address)
		if err == nil {
			err = errDelete
		}
	})
	return err
}
