package policy

import (
	"net/netip"
	"strconv"
	"strings"
)

// part is literal text, or the name of a placeholder.
type part struct{ literal, placeholder string }

// keyText is the key or the cost of a zone, taken apart as rate_limit does.
type keyText []part

func newKeyText(text string) (t keyText) {
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			t = append(t, part{literal: literal.String()})
			literal.Reset()
		}
	}
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) && (text[i+1] == '{' || text[i+1] == '}') {
			i++
		} else if text[i] == '{' {
			name, _, closed := strings.Cut(text[i+1:], "}")
			if closed && name != "" { // what is not does not load
				flush()
				t = append(t, part{placeholder: name})
				i += len(name) + 1
				continue
			}
		}
		literal.WriteByte(text[i])
	}
	flush()
	return t
}

func (t keyText) placeholders() (names []string) {
	for _, p := range t {
		if p.placeholder != "" {
			names = append(names, p.placeholder)
		}
	}
	return names
}

// filled is what a text gives for a request.
type filled struct {
	text string // as people read it
	id   string // as it is counted: no choice of values makes one caller's out of another's
	full bool   // every placeholder had a value
}

// fill asks the walk for the values.
func (t keyText) fill(w *walk, z *Zone) filled {
	f := filled{full: true}
	several := len(t.placeholders()) > 1
	for _, p := range t {
		if p.placeholder == "" {
			f.text, f.id = f.text+p.literal, f.id+p.literal
			continue
		}
		value, known := w.countable(p.placeholder)
		if !known {
			what := "placeholder {" + p.placeholder + "} of zone " + z.Name
			if w.open(what); z.EmptyKey != emptyShare {
				f.full = f.full && w.unknown(what)
			}
		}
		if !strings.HasPrefix(p.placeholder, "http.auth.") { // that is a name, whatever it looks like
			value = z.network(value)
		}
		f.full = f.full && value != ""
		f.text += value
		if several {
			f.id += strconv.Itoa(len(value)) + ":"
		}
		f.id += value
	}
	return f
}

// The lengths of an address that are counted where a zone says nothing: an IPv6 caller
// has a /64 at least.
const (
	wholeIPv4   = 32
	defaultIPv6 = 64
)

// network gives the network that an address counts with, and any other text as it is.
func (z *Zone) network(value string) string {
	address, err := netip.ParseAddr(value)
	if err != nil {
		return value
	}
	address = address.Unmap()
	bits := z.IPv6Prefix
	switch {
	case address.Is4() && z.IPv4Prefix == 0:
		bits = wholeIPv4
	case address.Is4():
		bits = z.IPv4Prefix
	case bits == 0:
		bits = defaultIPv6
	}
	prefix, err := address.Prefix(bits)
	switch {
	case err != nil:
		return value
	case prefix.IsSingleIP():
		return prefix.Addr().String()
	default:
		return prefix.String()
	}
}

// units reads a whole number as digits, and nothing but digits.
func units(text string) (int64, bool) {
	if text == "" || len(text) > len("1000000000") || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && n <= maxUnits
}

// maxUnits is the most that a limit may hold.
const maxUnits = 1_000_000_000
