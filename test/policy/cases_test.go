package policy

import (
	"os"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/open-tollgate/tollgate/caddymodules/sandbox"
	"github.com/open-tollgate/tollgate/internal/policy/cases"
	"github.com/open-tollgate/tollgate/internal/policy/mint"
)

// shippedFault is a mistake in the shipped Caddyfile, and a case that has to notice.
type shippedFault struct {
	name, old, new string
}

const moneyRoute = "\t\tresource /api/payments Payments\n\t\taccess_token\n\t\timport by_caller payments\n"

var shippedFaults = []shippedFault{
	{name: "an operation without its scope", old: "import operation payment_confirm ^/api/payments/[A-Za-z0-9-]+/confirm$ payments:confirm {$TOLLGATE_PAYMENTS:127.0.0.1:8083} POST",
		new: "import endpoint payment_confirm ^/api/payments/[A-Za-z0-9-]+/confirm$ {$TOLLGATE_PAYMENTS:127.0.0.1:8083} POST"},
	{name: "an operation with another's scope", old: "payments:refund {$", new: "payments:read {$"},
	{name: "a money route that is public", old: moneyRoute, new: "\t\tpublic\n\t\thandle /api/payments {\n\t\t\trespond 200\n\t\t}\n\t}\n\tapi payments_rest /api/payments/* {\n\t\tmethods GET POST\n\t\taccess_token\n\t\timport by_caller payments\n"},
	{name: "no scope at all", old: "\t\trequire {\n\t\t\tscope {args[2]}\n\t\t}\n", new: ""},
	{name: "a path that takes more", old: "^/api/risk/lists$ risk:write", new: "^/api/risk/ risk:write"},
	{name: "a path in any case", old: "^/api/payments/[A-Za-z0-9-]+/confirm$", new: "(?i)^/api/payments/[A-Za-z0-9-]+/confirm$"},
	{name: "a method too many", old: "api currencies /api/currencies {\n\t\tpublic\n\t\tmethods GET HEAD", new: "api currencies /api/currencies {\n\t\tpublic\n\t\tmethods GET HEAD POST"},
	{name: "another service", old: "payments:capture {$TOLLGATE_PAYMENTS:127.0.0.1:8083}", new: "payments:capture {$TOLLGATE_USERS:127.0.0.1:8082}"},
	{name: "another audience", old: "/api\n\t\t\talgorithms ES256", new: "/api https://else.example.com/api\n\t\t\talgorithms ES256"},
	{name: "RS256", old: "algorithms ES256", new: "algorithms ES256 RS256"},
	{name: "a second issuer", old: "\t\tissuer {$", new: "\t\tissuer https://else.example.com {\n\t\t\taudience https://localhost:8443/api\n\t\t}\n\t\tissuer {$"},
	{name: "no origin, and so no DPoP", old: "\t\torigin {$TOLLGATE_ORIGIN:https://localhost:8443}\n", new: "\t\torigin https://other.example.com\n"},
	{name: "bodies of any size", old: "import by_caller payments\n\t\trequest_body {\n\t\t\tmax_size 64KB\n\t\t}", new: "import by_caller payments"},
	{name: "a host for everybody", old: "https://{$TOLLGATE_HOST:localhost}:{$TOLLGATE_PORT:8443} {", new: "https://{$TOLLGATE_HOST:localhost}:{$TOLLGATE_PORT:8443}, https://else.example.com:8443 {"},
	{name: "no answer on unknown paths", old: "\tapi unknown_path {\n\t\tpublic\n\t}\n", new: ""},
	{name: "pages that can be framed", old: "X-Frame-Options DENY", new: "X-Frame-Options SAMEORIGIN"},
	{name: "no limit for users", old: "\t\tzone {args[0]}_user {\n\t\t\tkey {http.auth.token.iss} {http.auth.user.id}\n\t\t\tevents 600\n\t\t\twindow 1m\n\t\t}\n", new: ""},
	{name: "a limit that nobody reaches", old: "import by_address currencies 600", new: "import by_address currencies 601"},
	{name: "a limit by something else", old: "key {client_ip}", new: "key everybody"},
	{name: "a limit in shadow", old: "key {client_ip}", new: "key {client_ip}\n\t\t\tshadow"},
}

// TestShippedCases runs the cases that come with the shipped Caddyfile: all of them pass,
// and show every rule at work.
func TestShippedCases(t *testing.T) {
	t.Parallel()
	result := runShipped(t, readFile(t, "../../Caddyfile"), mint.New())
	for _, o := range result.Outcomes {
		if o.Failure != nil {
			t.Errorf("%s: %s", o.Case.Name, strings.Join(o.Failure.Differs, "; "))
		}
	}
	if percent := result.Coverage.Percent(); percent < 100 {
		t.Errorf("%v %% of the ways through the rules are shown:\n%s", percent, strings.Join(result.Coverage.Missing(), "\n"))
	}
}

// TestShippedCasesFindFaults spoils the shipped Caddyfile in many ways: a case notices each.
func TestShippedCasesFindFaults(t *testing.T) {
	t.Parallel()
	shipped, shared := readFile(t, "../../Caddyfile"), mint.New()
	for _, fault := range shippedFaults {
		spoilt := strings.Replace(shipped, fault.old, fault.new, 1)
		if spoilt == shipped {
			t.Errorf("%s: the Caddyfile has no %q", fault.name, fault.old)
			continue
		}
		result := runShipped(t, spoilt, shared)
		if result.Failed() == 0 {
			t.Errorf("%s: no case notices", fault.name)
		}
	}
}

func runShipped(t *testing.T, caddyfile string, m *mint.Mint) *cases.Result {
	t.Helper()
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, caddyfile)
	}
	file, err := cases.Read("../../cases.yaml")
	if err != nil {
		t.Fatal(err)
	}
	result, notes, err := sandbox.Run(adapted, []*cases.File{file}, sandbox.Options{Mint: m})
	if err != nil {
		t.Fatal(err)
	}
	if len(notes) > 0 {
		t.Errorf("not as the configuration says: %v", notes)
	}
	return result
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
