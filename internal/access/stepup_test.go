package access_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/access"
	"github.com/open-tollgate/tollgate/internal/token"
)

func TestStepUp(t *testing.T) {
	t.Parallel()
	now := time.Unix(1800000000, 0)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	bound := token.Confirmation{JKT: "x"}
	strong := access.StepUp{ACR: []string{"urn:bank:sca", "urn:bank:sca2"}}
	recent := access.StepUp{MaxAge: 5 * time.Minute}
	both := access.StepUp{ACR: []string{"urn:bank:sca"}, MaxAge: 5 * time.Minute}
	const (
		level = `error="insufficient_user_authentication", error_description="A different authentication level is required.", `
		age   = `error="insufficient_user_authentication", error_description="More recent authentication is required.", `
	)
	for _, test := range []struct {
		name   string
		wanted access.StepUp
		token  token.Token
		want   string // the challenge, empty when it passes
	}{
		{"nothing wanted", access.StepUp{}, token.Token{}, ""},
		{"second of two levels", strong, token.Token{ACR: "urn:bank:sca2"}, ""},
		{"another level", strong, token.Token{ACR: "urn:bank:pwd"}, `Bearer ` + level + `acr_values="urn:bank:sca urn:bank:sca2"`},
		{"no level", strong, token.Token{}, `Bearer ` + level + `acr_values="urn:bank:sca urn:bank:sca2"`},
		{"no level, DPoP", strong, token.Token{Confirmation: bound}, `DPoP ` + level + `acr_values="urn:bank:sca urn:bank:sca2"`},
		{"just recent enough", recent, token.Token{AuthTime: ago(5 * time.Minute)}, ""},
		{"a second too old", recent, token.Token{AuthTime: ago(5*time.Minute + time.Second)}, `Bearer ` + age + `max_age="300"`},
		{"no time", recent, token.Token{}, `Bearer ` + age + `max_age="300"`},
		{"both met", both, token.Token{ACR: "urn:bank:sca", AuthTime: now}, ""},
		{"too old at the right level", both, token.Token{ACR: "urn:bank:sca"}, `Bearer ` + age + `acr_values="urn:bank:sca", max_age="300"`},
		{"recent at the wrong level", both, token.Token{AuthTime: now}, `Bearer ` + level + `acr_values="urn:bank:sca", max_age="300"`},
	} {
		p := test.wanted.Judge(&test.token, now)
		if p == nil {
			if test.want != "" {
				t.Errorf("%s: passes", test.name)
			}
			continue
		}
		if got := p.Header.Get("WWW-Authenticate"); got != test.want || p.Status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", test.name, p.Status, got)
		}
		if p.Reason != access.StepUpWanted || !slices.Contains(access.Reasons(), p.Reason) {
			t.Errorf("%s: reason %q", test.name, p.Reason)
		}
	}
}

func TestWithMetadata(t *testing.T) {
	t.Parallel()
	refusal := access.InsufficientScope(&token.Token{}, []string{"a"})
	named := access.WithMetadata(refusal, metadata)
	if got := named.Header.Get("WWW-Authenticate"); got != `Bearer error="insufficient_scope", scope="a", resource_metadata="`+metadata+`"` {
		t.Error(got)
	}
	if refusal.Header.Get("WWW-Authenticate") == named.Header.Get("WWW-Authenticate") {
		t.Error("the refusal itself was changed")
	}
	bare := access.WithMetadata(refusal.WithHeader("WWW-Authenticate", "Bearer"), metadata)
	if got := bare.Header.Values("WWW-Authenticate")[1]; got != `Bearer resource_metadata="`+metadata+`"` {
		t.Error(got)
	}
	if access.WithMetadata(refusal, "") != refusal || access.WithMetadata(access.ClaimMismatch("x"), metadata).Header != nil {
		t.Error("names metadata where there is none, or no challenge")
	}
}
