package resource_test

import (
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/open-tollgate/tollgate/internal/resource"
)

var origins = []string{"https://api.test", "https://pay.test:8443", "https://api.test.evil.test"}

func TestIdentifier(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"/payments":                        "https://api.test/payments",
		"/":                                "https://api.test/",
		"https://api.test":                 "https://api.test/",
		"https://api.test/":                "https://api.test/",
		"https://pay.test:8443/a/b":        "https://pay.test:8443/a/b",
		"/a/":                              "https://api.test/a/",
		"":                                 "",
		"payments":                         "",
		"https://pay.test/a":               "", // another port is another origin
		"https://api.test.evil.test/a":     "https://api.test.evil.test/a",
		"https://api.test.more.test/a":     "",
		"http://api.test/a":                "",
		"/a?b":                             "",
		"/a?":                              "",
		"/a#b":                             "",
		"/a#":                              "",
		"/a/*":                             "",
		"/a/../b":                          "",
		"/a//b":                            "",
		"//evil.test/a":                    "",
		`/a"b`:                             "",
		"/a;b":                             "",
		"/a b":                             "",
		"https://user@api.test/a":          "",
		"https://api.test" + "@evil.test/": "",
	} {
		got, err := resource.Identifier(origins, in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
	if _, err := resource.Identifier(nil, "/a"); err == nil {
		t.Error("there is a resource without an origin")
	}
}

// TestURL has the examples of RFC 9728 section 3.1.
func TestURL(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"https://resource.example.com/":          "https://resource.example.com/.well-known/oauth-protected-resource",
		"https://resource.example.com/resource1": "https://resource.example.com/.well-known/oauth-protected-resource/resource1",
		"https://a.test:8443/b/c/":               "https://a.test:8443/.well-known/oauth-protected-resource/b/c/",
	} {
		if got := resource.URL(in); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
}

// TestURLCanBeTakenBack: a client that takes the well-known part out again has to get
// the identifier (RFC 9728 section 3.3).
func TestURLCanBeTakenBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		segments := rapid.SliceOfN(rapid.StringMatching(`[a-z0-9_.~-]{1,8}`), 0, 4).Draw(t, "segments")
		identifier, err := resource.Identifier(origins, "/"+strings.Join(segments, "/"))
		if err != nil {
			return // a dot segment
		}
		u, err := url.Parse(resource.URL(identifier))
		if err != nil {
			t.Fatal(err)
		}
		path := strings.TrimPrefix(u.Path, resource.WellKnown)
		if path == "" {
			path = "/"
		}
		if back := "https://" + u.Host + path; back != identifier {
			t.Fatalf("%s is derived from %s, and gives %s", u, identifier, back)
		}
	})
}

func TestDirectory(t *testing.T) {
	t.Parallel()
	pay := resource.New("https://api.test/pay", "Payments")
	pay.AuthorizationServers = []string{"https://login.test"}
	pay.AddScopes("write", "read")
	pay.AddScopes("read")
	pay.AddDetailTypes("payment_initiation")
	pay.ProofAlgorithms, pay.DPoPRequired, pay.CertificateBound = []string{"ES256"}, true, true
	first, second := resource.New("https://api.test/", ""), resource.New("https://PAY.test:443/", "")
	d, err := resource.NewDirectory([]*resource.Metadata{pay, first, second})
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[[2]string]string{
		{"anything.test", resource.WellKnown + "/pay"}: `{"resource":"https://api.test/pay","resource_name":"Payments","authorization_servers":["https://login.test"],` +
			`"scopes_supported":["read","write"],"bearer_methods_supported":["header"],"authorization_details_types_supported":["payment_initiation"],` +
			`"dpop_signing_alg_values_supported":["ES256"],"tls_client_certificate_bound_access_tokens":true,"dpop_bound_access_tokens_required":true}`,
		{"api.test", resource.WellKnown}:           `{"resource":"https://api.test/","bearer_methods_supported":["header"]}`,
		{"Api.test:443", resource.WellKnown}:       `{"resource":"https://api.test/","bearer_methods_supported":["header"]}`,
		{"pay.test", resource.WellKnown}:           `{"resource":"https://PAY.test:443/","bearer_methods_supported":["header"]}`,
		{"other.test", resource.WellKnown}:         "", // which one is meant?
		{"api.test", resource.WellKnown + "/"}:     "",
		{"api.test", resource.WellKnown + "/pay/"}: "",
		{"api.test", resource.WellKnown + "/Pay"}:  "",
		{"api.test", "/pay"}:                       "",
	} {
		var got string
		if found := d.Find(at[0], at[1]); found != nil {
			got = string(found.Body())
		}
		if got != want {
			t.Errorf("%s%s:\n%s\nwant\n%s", at[0], at[1], got, want)
		}
	}
}
