package policy

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/open-tollgate/tollgate/internal/policy"
	"github.com/open-tollgate/tollgate/internal/policy/cases"
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
		g := &generator{Rand: rand.New(rand.NewPCG(1, uint64(n))), number: uint64(n), upstreams: []string{"127.0.0.1:1"}, keys: []string{"one.json", "two.json"}, roots: []string{"/srv"}}
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

// TestCasesKeepTheirSchema holds the shipped cases, and those of the tests, to the schema
// that is published, and the schema to refusing what the parser refuses.
func TestCasesKeepTheirSchema(t *testing.T) {
	t.Parallel()
	schema, err := jsonschema.NewCompiler().Compile("../../docs/policy-cases.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	const request = "request: {url: \"https://edge.test/\"}"
	for text, good := range map[string]bool{
		readFile(t, "../../cases.yaml"): true, sealedCases: true, lyingCases: true,
		"cases: []": false, "tokens: {}": false,
		"cases: [{name: a, " + request + ", expect: {status: 200}}]":                          true,
		"cases: [{name: a, " + request + ", expect: {}}]":                                     false,
		"cases: [{name: a, " + request + ", expect: {staus: 200}}]":                           false,
		"cases: [{name: a, " + request + ", expect: {status: 200, connection: refused}}]":     false,
		"cases: [{name: a, " + request + ", expect: {status: 200}, steps: [{wait: 1m}]}]":     false,
		"cases: [{name: a, request: {method: GET}, expect: {status: 200}}]":                   false,
		"cases: [{name: a, request: {url: /a, token: {scpoe: a}}, expect: {status: 200}}]":    false,
		"cases: [{name: a, request: {url: /a, proof: {jti: a}}, expect: {status: 200}}]":      false,
		"cases: [{name: a, steps: [{wait: soon}, {" + request + ", expect: {status: 200}}]}]": false,
	} {
		var document any
		if err := yaml.Unmarshal([]byte(text), &document); err != nil {
			t.Fatal(err)
		}
		encoded, err := json.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(encoded))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(value); (err == nil) != good {
			t.Errorf("want good: %t, got %v\n%.200s", good, err, text)
		}
		if _, err := cases.Parse("f.yaml", []byte(text)); (err == nil) != good {
			t.Errorf("the parser, want good: %t, got %v\n%.200s", good, err, text)
		}
	}
}
