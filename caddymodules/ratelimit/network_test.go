package ratelimit

import (
	"strings"
	"testing"
)

func TestNetworkOfAnAddress(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		v4, v6      int
		value, want string
	}{
		{0, 0, "192.0.2.7", "192.0.2.7"},
		{0, 0, "::ffff:192.0.2.7", "192.0.2.7"},
		{0, 0, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
		{0, 0, "2001:DB8:1:2::", "2001:db8:1:2::/64"},
		{0, 0, "2001:db8::1", "2001:db8::/64"},
		{0, 0, "fe80::1%eth0", "fe80::/64"},
		{0, 0, "2001:db8::1%2001:db8::2", "2001:db8::/64"},
		{24, 56, "192.0.2.7", "192.0.2.0/24"},
		{24, 56, "::ffff:192.0.2.7", "192.0.2.0/24"},
		{24, 56, "2001:db8:1:2ff::1", "2001:db8:1:200::/56"},
		{32, 128, "2001:db8:0:0::1", "2001:db8::1"},
		{32, 128, "fe80::1%eth0", "fe80::1"},
		{24, 64, "alice", "alice"},
		{24, 64, "", ""},
		{24, 64, "192.0.2", "192.0.2"},
		{24, 64, "192.0.2.7:443", "192.0.2.7:443"},
		{24, 64, "[2001:db8::1]:443", "[2001:db8::1]:443"},
		{24, 64, "2001:db8::1, 192.0.2.7", "2001:db8::1, 192.0.2.7"},
		{24, 64, "2001:db8::/48", "2001:db8::/48"},
		{0, 0, "dead:beef", "dead:beef"},
	} {
		n, err := newNetworks(tt.v4, tt.v6)
		if err != nil {
			t.Fatal(err)
		}
		if got := n.of(tt.value); got != tt.want {
			t.Errorf("/%d and /%d: %q is counted as %q, want %q", tt.v4, tt.v6, tt.value, got, tt.want)
		}
	}
}

// TestNamesCostNothing: what is no IPv6 address is not even parsed.
func TestNamesCostNothing(t *testing.T) {
	n, err := newNetworks(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"192.0.2.7", "01a208d3-3b64-718c-bceb-b9d9f9a6fd24", "https://auth.example.com", strings.Repeat("x:", 1000)} {
		if got := testing.AllocsPerRun(10, func() { n.of(value) }); got != 0 {
			t.Errorf("%.30q costs %v allocations", value, got)
		}
	}
	if got := testing.AllocsPerRun(10, func() { n.of("2001:db8:1:2:3:4:5:6") }); got != 1 {
		t.Errorf("an IPv6 address costs %v allocations, want that of its key", got)
	}
}
