package policy

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// listener is where a server listens, as Caddy reads it: [NETWORK/]HOST:PORT[-PORT].
type listener struct {
	text, network, host string
	mode                string // of a socket's file: who may use it
	first, last         uint64 // ports
	known               bool   // it says itself which they are
}

func newListener(text string) listener {
	l := listener{text: text, network: "tcp", known: !strings.ContainsAny(text, "{}")}
	address := text
	if network, rest, found := strings.Cut(text, "/"); found {
		l.network, address = strings.ToLower(strings.TrimSpace(network)), rest
	}
	if l.hasPath() {
		l.host, l.mode, _ = strings.Cut(address, "|")
		return l
	}
	host, ports, err := net.SplitHostPort(address)
	if err != nil {
		host = strings.Trim(address, "[]")
	}
	first, last, several := strings.Cut(ports, "-")
	if !several {
		last = first
	}
	l.host = host
	var bad, worse error
	l.first, bad = strconv.ParseUint(first, 10, 16)
	l.last, worse = strconv.ParseUint(last, 10, 16)
	l.known = l.known && bad == nil && worse == nil && l.first <= l.last
	return l
}

func (l listener) hasPath() bool {
	return strings.HasPrefix(l.network, "unix") || strings.HasPrefix(l.network, "fd")
}

// family is 4 or 6 where it is for one alone; 0: for both, or for what a name stands for.
func (l listener) family() int {
	address, err := l.address()
	switch {
	case strings.HasSuffix(l.network, "4"), err == nil && address.Is4() && !address.IsUnspecified():
		return 4
	case strings.HasSuffix(l.network, "6"), err == nil && !address.IsUnspecified():
		return 6
	default:
		return 0
	}
}

// address is its host, if that is one. An IPv4 address that is written as one of IPv6 is itself.
func (l listener) address() (netip.Addr, error) {
	address, err := netip.ParseAddr(l.host)
	return address.Unmap(), err
}

func (l listener) protocol() string { return strings.TrimRight(l.network, "46") }

// isWide says whether it is for all addresses of its family.
func (l listener) isWide() bool {
	address, err := l.address()
	return l.host == "" || err == nil && address.IsUnspecified()
}

// sharesPort says whether a port may be one of both.
func (l listener) sharesPort(other listener) bool {
	return l.text == other.text || !l.known || !other.known || l.first <= other.last && other.first <= l.last
}

// mayTake says whether it may get some of what came to the other one, where that is gone.
func (l listener) mayTake(other listener) bool {
	switch {
	case l.text == other.text, !l.known, !other.known:
		return true
	case l.protocol() != other.protocol(), !l.sharesPort(other):
		return false
	case l.hasPath():
		return l.host == other.host
	case l.family() != other.family() && l.family()*other.family() != 0:
		return false
	default:
		return l.isWide() || l.mayBe(other)
	}
}

// mayBe says whether two hosts may be one address: of a name, who knows.
func (l listener) mayBe(other listener) bool {
	a, bad := l.address()
	b, worse := other.address()
	switch {
	case other.isWide():
		return false
	case bad == nil && worse == nil:
		return a == b
	case l.host == "localhost" && worse == nil:
		return b.IsLoopback()
	case other.host == "localhost" && bad == nil:
		return a.IsLoopback()
	default:
		return true
	}
}

// covers says whether who reaches the other one at a port reaches this one as well: 0.0.0.0 by
// IPv6 on some machines alone.
func (l listener) covers(other listener, port uint64) bool {
	if !l.known || !other.known || l.protocol() != other.protocol() || l.hasPath() != other.hasPath() {
		return false
	}
	if l.hasPath() || l.host == other.host {
		return l.host == other.host && l.mode == other.mode && l.hasPort(port) && l.hasFamily(other)
	}
	ofIPv6 := strings.Contains(other.host, ":")
	return l.isWide() && (l.host != "0.0.0.0" || !ofIPv6) && l.hasPort(port) && l.hasFamily(other)
}

func (l listener) hasPort(port uint64) bool { return l.hasPath() || l.first <= port && port <= l.last }

func (l listener) hasFamily(other listener) bool {
	return l.family() == 0 || l.family() == other.family()
}

// covered says whether all that comes to an address comes to one of others as well.
func covered(address string, others []string) bool {
	l := newListener(address)
	if slices.Contains(others, address) || !l.known {
		return slices.Contains(others, address)
	}
	all := make([]listener, len(others))
	for n, other := range others {
		all[n] = newListener(other)
	}
	for port := l.first; port <= l.last; port++ {
		if !slices.ContainsFunc(all, func(other listener) bool { return other.covers(l, port) }) {
			return false
		}
	}
	return true
}
