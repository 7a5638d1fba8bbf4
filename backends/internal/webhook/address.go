package webhook

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"syscall"
)

// CheckURL says whether an endpoint can have this address: https, or http to
// this machine for development. Where the name leads is checked at each dial.
func CheckURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil {
		return errors.New("not a URL")
	}
	switch {
	case u.Hostname() == "" || u.Opaque != "":
		return errors.New("not an absolute URL with a host")
	case u.User != nil:
		return errors.New("must not hold a user name or password")
	case u.Fragment != "":
		return errors.New("must not have a fragment")
	case u.Scheme == "https" || u.Scheme == "http" && isLocalhost(u.Hostname()):
		return nil
	}
	return errors.New("must be https")
}

// CheckPublicURL is CheckURL for an endpoint that has to be on the public network:
// what would be refused at each dial is better refused at once. The dial still
// decides, for a name leads where its owner wants.
func CheckPublicURL(raw string) error {
	if err := CheckURL(raw); err != nil {
		return err
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "https" {
		return errors.New("must be https")
	}
	if addr, err := netip.ParseAddr(u.Hostname()); isLocalhost(u.Hostname()) || err == nil && !isPublic(addr) {
		return errors.New("must not lead into a private or reserved network")
	}
	return nil
}

func isLocalhost(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// reserved are the networks that no webhook may reach: this machine, the
// operator's own networks, cloud metadata, and what embeds such an address
// (the special-purpose registries of RFC 6890). Loopback, link-local and
// private ranges are also told by netip's own methods; a list alone is easier to audit.
var reserved = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
	"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
	"203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
)

// publicV6 is the only part of IPv6 from which public addresses are given out;
// reservedV6 are the parts of it that embed an IPv4 address or are for documents.
var (
	publicV6   = netip.MustParsePrefix("2000::/3")
	reservedV6 = prefixes("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		list[i] = netip.MustParsePrefix(text)
	}
	return list
}

func isPublic(addr netip.Addr) bool {
	addr = addr.Unmap() // ::ffff:127.0.0.1 is 127.0.0.1
	if addr.Is4() {
		return !within(addr, reserved)
	}
	return publicV6.Contains(addr) && !within(addr, reservedV6)
}

func within(addr netip.Addr, list []netip.Prefix) bool {
	for _, prefix := range list {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

var errPrivate = errors.New("the endpoint's address is in a private or reserved network")

// refusePrivate is a net.Dialer's Control. It sees the address that is about to
// be connected to, after resolution: a name cannot lead elsewhere behind it.
func refusePrivate(_, address string, _ syscall.RawConn) error {
	addr, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	if !isPublic(addr.Addr()) {
		return errPrivate
	}
	return nil
}
