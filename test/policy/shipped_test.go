package policy

import (
	"os"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"go.yaml.in/yaml/v3"

	"github.com/open-tollgate/tollgate/internal/policy"
)

// TestShippedCaddyfileIsClean holds the shipped file to the lint, with what lint.yaml puts up with.
func TestShippedCaddyfileIsClean(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../../Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt(content, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := policy.Parse(adapted)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../lint.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var options policy.LintOptions
	if err := yaml.Unmarshal(text, &options); err != nil {
		t.Fatal(err)
	}
	if err := options.Check(); err != nil {
		t.Fatal(err)
	}
	findings := policy.Lint(c, options)
	if len(findings) == 0 {
		t.Error("the lint says nothing at all: what is put up with should be there")
	}
	_, unused := options.Apply(findings, time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC))
	if len(unused) > 0 {
		t.Errorf("put up with, and not there: %+v", unused)
	}
	for _, f := range findings {
		if f.Suppressed == "" {
			t.Errorf("%+v", f)
		}
	}
	if r := policy.NewReport(c); len(r.Outside) > 0 || len(r.Open) > 0 {
		t.Errorf("outside any api: %v; not analysed: %v", r.Outside, r.Open)
	}
}
