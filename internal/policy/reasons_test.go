package policy

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/open-tollgate/tollgate/internal/access"
)

// unsaid are the reasons that no outcome has and no "may also answer" tells, and why.
var unsaid = map[string]string{
	"accepted": "nothing is refused",

	// Of a request as it is sent. The model's have a token that is as its claims say, sent as it has to be.
	"malformed_header": "", "two_methods": "", "token_in_form": "", "wrong_type": "", "unknown_key": "", "bad_signature": "",
	"missing_claim": "", "invalid_claim": "", "not_yet_valid": "", "unknown_confirmation": "", "certificate_wrong": "", "certificate_unreadable": "",
	"certificate_bound": "", "proof_missing": "", "proof_malformed": "", "proof_wrong_type": "", "proof_wrong_algorithm": "", "proof_bad_key": "", "proof_bad_signature": "",
	"proof_wrong_method": "", "proof_wrong_uri": "", "proof_wrong_time": "", "proof_wrong_token": "",
}

var (
	spoken  = regexp.MustCompile(`"([a-z]+(?:_[a-z]+)*)"`)
	written = regexp.MustCompile(`problem\.New\([^,]+, "([a-z_]+)"`)
)

// TestEveryReasonIsSaid holds what an outcome can be, and what it may be instead, to the
// reasons that the edge has: each is in one of the two, or excused.
func TestEveryReasonIsSaid(t *testing.T) {
	t.Parallel()
	reasons := access.Reasons()
	for _, file := range sources(t, "../../caddymodules/*/*.go") {
		for _, match := range written.FindAllStringSubmatch(file, -1) {
			reasons = append(reasons, match[1])
		}
	}
	modelled, told := make(map[string]bool), make(map[string]bool)
	for _, file := range sources(t, "*.go") {
		for _, match := range spoken.FindAllStringSubmatch(file, -1) {
			modelled[match[1]] = true
		}
	}
	for _, text := range everything(t) {
		for _, word := range regexp.MustCompile(`[a-z_]+`).FindAllString(text, -1) {
			told[word] = true
		}
	}
	reasons = unique(reasons)
	if len(reasons) < 40 {
		t.Fatalf("only %d reasons are found: the search is broken", len(reasons))
	}
	for _, reason := range reasons {
		_, excused := unsaid[reason]
		switch said := modelled[reason] || told[reason]; {
		case !said && !excused:
			t.Errorf("%s is neither an outcome nor what may be instead", reason)
		case said && excused:
			t.Errorf("%s is excused, and said all the same", reason)
		}
	}
	for reason := range unsaid {
		if !slices.Contains(reasons, reason) {
			t.Errorf("%s is excused, and the edge never says it", reason)
		}
	}
}

func sources(t *testing.T, pattern string) (all []string) {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") || name == "may.go" {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(text))
	}
	return all
}

// everything is what may be said of configurations that have all there is.
func everything(t *testing.T) (all []string) {
	t.Helper()
	const api = `{"handle":[{"handler":"api","name":"a","audit":"required","routes":[{"handle":[{"handler":"access_token"}]},
		{"handle":[{"handler":"request_body","max_size":10}]},{"handle":[{"handler":"rate_limit","rate_limits":{
		"shared":{"key":"a","window":1,"max_events":1},"closed":{"key":"a","window":1,"max_events":1,"on_failure":"closed"}}}]},
		{"handle":[{"handler":"reverse_proxy","upstreams":[{"dial":"127.0.0.1:1"}]}]}]}]}`
	c := parsed(t, `{"apps":{"tollgate":{"redis":"redis://r","origins":["https://a"],"dpop":{"nonce_key":"generated"},
		"issuers":[{"url":"https://i","audiences":["a"],"introspection":{"endpoint":"https://i/introspect"}}]},
		"http":{"servers":{"s":{"listen":[":443"],"routes":[`+api+`]}}}}}`)
	for _, a := range NewReport(c).APIs {
		all = append(all, a.May...)
	}
	return all
}
