package main

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

// defaultPort is the edge's port where none is asked for.
const defaultPort = 8443

// ports are where the processes listen, all on loopback.
type ports struct{ edge, admin, auth, users, payments, shop int }

// choosePorts takes the documented ports on the default edge port, where they
// are free, and otherwise what the system gives, so that several demos can run.
func choosePorts(edge int) (ports, error) {
	if err := checkFree(edge); err != nil {
		return ports{}, err
	}
	p := ports{edge: edge, admin: 2019, auth: 8081, users: 8082, payments: 8083, shop: 8090}
	for _, port := range []*int{&p.admin, &p.auth, &p.users, &p.payments, &p.shop} {
		if edge == defaultPort && checkFree(*port) == nil {
			continue
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return ports{}, err
		}
		// Held until all are chosen, or the system could give one twice.
		defer func() { _ = l.Close() }()
		*port = l.Addr().(*net.TCPAddr).Port
	}
	return p, nil
}

func checkFree(port int) error {
	l, err := net.Listen("tcp", loopback(port))
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("port %d is taken by another program; choose another with --port", port)
	}
	if err != nil {
		return fmt.Errorf("port %d: %w", port, err)
	}
	return l.Close()
}

func loopback(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }
