package command

import (
	"bytes"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/policy"
)

// FuzzLintFile reads files of rules and suppressions: each is refused, or can be used.
func FuzzLintFile(f *testing.F) {
	for _, seed := range []string{
		"", "suppress:\n- check: no-limit\n  api: p*\n  match: x\n  reason: because\n  expires: 2027-11-30\n", "disable: [no-limit]\nmoney: [pay]\n",
		"rules:\n- id: ours\n  severity: error\n  summary: s\n  apis: '[a-'\n  require: {sender_constrained: true, limit: true, not_public: true, scopes: [a], methods: [GET], audit: required}\n",
		"a: &a [*a]\n", "suppress: {}\n", "rules:\n- null\n",
	} {
		f.Add([]byte(seed))
	}
	config, err := policy.Parse([]byte(`{"apps":{"http":{"servers":{"s":{"listen":[":80"],"routes":[{"handle":[{"handler":"api","name":"payments","public":true,"routes":[{"handle":[{"handler":"reverse_proxy"}]}]}]}]}}}}}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var options policy.LintOptions
		if decodeYAML(bytes.NewReader(text), &options) != nil || options.Check() != nil {
			return
		}
		findings := policy.Lint(config, options)
		options.Apply(findings, time.Unix(1e9, 0))
		for _, s := range options.Suppress {
			if s.Reason == "" || s.Expires == "" {
				t.Errorf("a suppression without reason or end: %+v", s)
			}
		}
	})
}
