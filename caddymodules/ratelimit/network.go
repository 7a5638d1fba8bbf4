package ratelimit

import (
	"fmt"
	"net/netip"
	"strings"
)

// An IPv4 caller has one address. An IPv6 caller has a network of 64 bits at least
// (RFC 4291 section 2.5.4), and calls from whichever of its addresses it likes.
const (
	wholeIPv4   = 32
	wholeIPv6   = 128
	defaultIPv6 = 64
)

// networks says how many bits of an address are counted.
type networks struct{ v4, v6 int }

// newNetworks checks the lengths of the prefixes, of which zero is the default.
func newNetworks(v4, v6 int) (networks, error) {
	n := networks{v4: wholeIPv4, v6: defaultIPv6}
	if v4 != 0 {
		n.v4 = v4
	}
	if v6 != 0 {
		n.v6 = v6
	}
	if n.v4 < 1 || n.v4 > wholeIPv4 {
		return n, fmt.Errorf("ipv4_prefix %d: want 1 to %d", n.v4, wholeIPv4)
	}
	if n.v6 < 1 || n.v6 > wholeIPv6 {
		return n, fmt.Errorf("ipv6_prefix %d: want 1 to %d", n.v6, wholeIPv6)
	}
	return n, nil
}

// of gives the network of an address, and any other text as it is.
func (n networks) of(value string) string {
	if !n.concern(value) {
		return value
	}
	address, err := netip.ParseAddr(value)
	if err != nil {
		return value
	}
	address = address.Unmap() // an IPv4 caller is the same in IPv6 spelling
	bits := n.v6
	if address.Is4() {
		bits = n.v4
	}
	network, err := address.Prefix(bits) // without the zone, which is not the caller's
	if err != nil {
		return value
	}
	if network.IsSingleIP() {
		return network.Addr().String()
	}
	var text [len("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128")]byte
	return string(network.AppendTo(text[:0]))
}

// concern says whether it is worth parsing the value. Most values are no addresses,
// or IPv4 addresses that count whole, and an error of the parser costs memory.
func (n networks) concern(value string) bool {
	if n.v4 == wholeIPv4 && !strings.Contains(value, ":") {
		return false
	}
	digits, _, _ := strings.Cut(value, "%")
	return strings.Trim(digits, "0123456789abcdefABCDEF:.") == ""
}
