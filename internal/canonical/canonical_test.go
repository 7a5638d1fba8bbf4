package canonical_test

import (
	"errors"
	"net/url"
	"path"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/open-tollgate/tollgate/internal/canonical"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	tests := map[string]error{
		"/":                        nil,
		"/api/payments":            nil,
		"/api/payments/":           nil,
		"/api/payments?x=//..;%2f": nil,
		"/a-b_c~d.e/.well-known/x": nil,
		"/v1/a:b@c+d,e=f!$&'()*":   nil,
		"/v1/a%40b%20c":            nil,
		"/caf%C3%A9/caf%c3%a9":     nil,
		"/...":                     nil,
		"https://edge.test/a/b?c":  nil,

		"*":                              canonical.ErrForm,
		"https://edge.test":              canonical.ErrForm,
		"https://edge.test?/a":           canonical.ErrForm,
		"/a/../b":                        canonical.ErrDotSegment,
		"/a/..":                          canonical.ErrDotSegment,
		"/./a":                           canonical.ErrDotSegment,
		"/.":                             canonical.ErrDotSegment,
		"https://edge.test/a/../b":       canonical.ErrDotSegment,
		"//":                             canonical.ErrEmpty,
		"//a":                            canonical.ErrEmpty,
		"/a//b":                          canonical.ErrEmpty,
		"/a//":                           canonical.ErrEmpty,
		"/a/%2e%2e/b":                    canonical.ErrEncoding,
		"/a/%2E/b":                       canonical.ErrEncoding,
		"/a/.%2e/b":                      canonical.ErrEncoding,
		"/a%2fb":                         canonical.ErrEncoding,
		"/a%5Cb":                         canonical.ErrEncoding,
		"/a%00":                          canonical.ErrEncoding,
		"/a%0d%0a":                       canonical.ErrEncoding,
		"/a%7f":                          canonical.ErrEncoding,
		"/%61pi/payments":                canonical.ErrEncoding,
		"/a%252e":                        canonical.ErrEncoding,
		"/a%3Bb":                         canonical.ErrEncoding,
		"/a%3fb":                         canonical.ErrEncoding,
		"/a%23b":                         canonical.ErrEncoding,
		"/a;b":                           canonical.ErrCharacter,
		"/a;/b":                          canonical.ErrCharacter,
		"/a[1]":                          canonical.ErrCharacter,
		"/a\\b":                          canonical.ErrRewritten,
		"/a b":                           canonical.ErrRewritten,
		"/a#b":                           canonical.ErrRewritten,
		"/caf\u00e9":                     canonical.ErrRewritten,
		"/a|b":                           canonical.ErrRewritten,
		"/a%c0%ae%c0%ae/b":               canonical.ErrUTF8,
		"/a%ff":                          canonical.ErrUTF8,
		"/a%c2%85":                       canonical.ErrCharacter,
		"/" + strings.Repeat("a/", 4000): nil,
	}
	for target, want := range tests {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			t.Fatalf("%q: %v", target, err)
		}
		if got := canonical.Check(u, target); !errors.Is(got, want) {
			t.Errorf("%q: got %v, want %v", target, got, want)
		}
	}
}

// TestCheckHoldsTargetAgainstURL covers a path that something in front rewrote.
func TestCheckHoldsTargetAgainstURL(t *testing.T) {
	t.Parallel()
	if err := canonical.Check(&url.URL{Path: "/public"}, "/admin"); !errors.Is(err, canonical.ErrRewritten) {
		t.Fatalf("got %v", err)
	}
	if err := canonical.Check(&url.URL{Path: "/a/b", RawPath: "/a%2fb"}, "/a/b"); !errors.Is(err, canonical.ErrRewritten) {
		t.Fatalf("got %v", err)
	}
}

func TestCheckDoesNotAllocate(t *testing.T) {
	u := &url.URL{Path: "/api/payments/0190b7a5-0000-7000-8000-000000000000"}
	if n := testing.AllocsPerRun(100, func() { _ = canonical.Check(u, u.Path) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

// FuzzCheck holds what passes against what the rest of the chain relies on.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{"/", "/a/b", "/a/../b", "/%2e%2e/", "//a", "/a%C3%A9", "/a%5c", "*", "http://h/a", "/a;b", "/%c0%af"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || canonical.Check(u, target) != nil {
			return
		}
		forwarded := u.EscapedPath()
		if !strings.Contains(target, forwarded) {
			t.Fatalf("%q is forwarded as %q", target, forwarded)
		}
		if clean := path.Clean(u.Path); clean != u.Path && clean+"/" != u.Path {
			t.Fatalf("%q is cleaned to %q", u.Path, clean)
		}
		if twice, err := url.PathUnescape(u.Path); err != nil || twice != u.Path {
			t.Fatalf("%q decodes again, to %q", u.Path, twice)
		}
		if strings.ContainsAny(u.Path, "\x00\\;?#%") || !utf8.ValidString(u.Path) {
			t.Fatalf("%q got through", u.Path)
		}
		if strings.Count(u.Path, "/") != strings.Count(forwarded, "/") {
			t.Fatalf("%q and %q have different segments", u.Path, forwarded)
		}
	})
}
