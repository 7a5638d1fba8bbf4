package policy

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/open-tollgate/tollgate/internal/policy"
)

// TestReportKeepsItsSchema holds the reports of the shipped file and of random configurations
// to the schema that is published, and the schema to refusing what it does not know.
func TestReportKeepsItsSchema(t *testing.T) {
	t.Parallel()
	schema, err := jsonschema.NewCompiler().Compile("../../docs/policy-report.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile("../../Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	shipped, _, err := caddyconfig.GetAdapter("caddyfile").Adapt(content, nil)
	if err != nil {
		t.Fatal(err)
	}
	configs := [][]byte{shipped, []byte("{}")}
	for n := range 50 {
		g := &generator{Rand: rand.New(rand.NewPCG(1, uint64(n))), number: uint64(n), upstreams: []string{"127.0.0.1:1"}, keys: []string{"one.json", "two.json"}}
		config, err := json.Marshal(g.config())
		if err != nil {
			t.Fatal(err)
		}
		configs = append(configs, config)
	}
	for _, config := range configs {
		report := reportOf(t, config)
		if err := schema.Validate(report); err != nil {
			t.Fatalf("%v\n%s", err, config)
		}
		report.(map[string]any)["surprise"] = true
		if schema.Validate(report) == nil {
			t.Fatal("the schema takes a member that it does not have")
		}
	}
}

// reportOf is the report as a reader of its JSON has it.
func reportOf(t *testing.T, config []byte) any {
	t.Helper()
	c, err := policy.Parse(config)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := policy.NewReport(c).WriteJSON(&text); err != nil {
		t.Fatal(err)
	}
	report, err := jsonschema.UnmarshalJSON(&text)
	if err != nil {
		t.Fatal(err)
	}
	return report
}
