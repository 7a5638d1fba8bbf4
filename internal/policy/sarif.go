package policy

import (
	"encoding/json"
	"io"
	"net/url"
	"path/filepath"
)

// The members of SARIF 2.1.0 that are written.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool struct {
			Driver sarifDriver `json:"driver"`
		} `json:"tool"`
		Results []sarifResult `json:"results"`
	}
	sarifDriver struct {
		Name  string      `json:"name"`
		Rules []sarifRule `json:"rules"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifRule struct {
		ID      string    `json:"id"`
		Short   sarifText `json:"shortDescription"`
		Full    sarifText `json:"fullDescription"`
		Help    sarifText `json:"help"`
		Default struct {
			Level Severity `json:"level"`
		} `json:"defaultConfiguration"`
	}
	sarifResult struct {
		Rule         string             `json:"ruleId"`
		Level        Severity           `json:"level"`
		Message      sarifText          `json:"message"`
		Locations    []sarifLocation    `json:"locations"`
		Suppressions []sarifSuppression `json:"suppressions,omitempty"`
	}
	sarifLocation struct {
		Physical struct {
			Artifact struct {
				URI string `json:"uri"`
			} `json:"artifactLocation"`
		} `json:"physicalLocation"`
		Logical []sarifPlace `json:"logicalLocations"`
	}
	sarifPlace struct {
		Name string `json:"fullyQualifiedName"`
	}
	sarifSuppression struct {
		Kind   string `json:"kind"`
		Reason string `json:"justification"`
	}
)

// WriteSARIF writes findings as SARIF 2.1.0, for those who gather the results of many tools.
func WriteSARIF(w io.Writer, findings []Finding, options LintOptions, file string) error {
	run := sarifRun{Results: []sarifResult{}}
	run.Tool.Driver = sarifDriver{Name: "tollgate policy lint", Rules: options.sarifRules()}
	for _, f := range findings {
		run.Results = append(run.Results, f.sarif(file))
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(sarifLog{Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{run}})
}

// sarifRules are the checks, the site's own among them: a result is nothing without its rule.
func (o *LintOptions) sarifRules() (rules []sarifRule) {
	checks := Checks()
	for _, r := range o.Rules {
		checks = append(checks, Check{ID: r.ID, Severity: r.Severity, Summary: r.Summary, Why: r.Summary, Cure: r.Cure})
	}
	for _, c := range checks {
		r := sarifRule{ID: c.ID, Short: sarifText{c.Summary}, Full: sarifText{c.Why}, Help: sarifText{c.Cure}}
		r.Default.Level = c.Severity
		rules = append(rules, r)
	}
	return rules
}

func (f *Finding) sarif(file string) sarifResult {
	message := f.Message
	if f.API != "" {
		message = "api " + f.API + ": " + message
	}
	r := sarifResult{Rule: f.Check, Level: f.Severity, Message: sarifText{message}, Locations: make([]sarifLocation, 1)}
	r.Locations[0].Physical.Artifact.URI = fileURI(file)
	r.Locations[0].Logical = []sarifPlace{{f.At}}
	if f.Suppressed != "" {
		r.Suppressions = []sarifSuppression{{"external", f.Suppressed}}
	}
	return r
}

// fileURI is a reference to a file: what is not whole is held to the folder that the lint
// was run in.
func fileURI(file string) string {
	u := url.URL{Path: filepath.ToSlash(file)}
	if filepath.IsAbs(file) {
		u.Scheme = "file"
	}
	return u.String()
}
