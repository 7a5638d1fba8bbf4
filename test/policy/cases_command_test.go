package policy

import (
	"encoding/xml"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestCasesExitCodes asks the built command: 0 all have passed, 1 one has failed or too
// little is shown, 2 could not run.
func TestCasesExitCodes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tollgate, err := built()
	if err != nil {
		t.Fatal(err)
	}
	file := func(name, content string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	caddyfile := file("Caddyfile", "https://edge.test {\n\tapi a {\n\t\tpublic\n\t\tmethods GET\n\t\trespond /in 204\n\t}\n}\n")
	inJSON := file("edge.json", `{"apps":{"http":{"servers":{"srv":{"listen":[":443"],"routes":[{"match":[{"host":["edge.test"]}],"handle":[{"handler":"static_response","status_code":204}]}]}}}}}`)
	broken := file("Broken", "https://edge.test {\n\tapi a {\n\t}\n}\n")
	const one = "cases:\n  - name: in\n    request: {url: \"https://edge.test/in\"}\n    expect: {status: "
	good, bad, mistaken := file("good.yaml", one+"204}\n"), file("bad.yaml", one+"403}\n"), file("mistaken.yaml", one+"204, stauts: 1}\n")
	report := filepath.Join(dir, "result.xml")
	for name, test := range map[string]struct {
		args []string
		code int
		says string
	}{
		"passed":               {[]string{good, "-c", caddyfile}, 0, "1 cases, 0 failed"},
		"JSON":                 {[]string{good, "-c", inJSON}, 0, "1 cases, 0 failed; 1 of 1 ways"},
		"not shown":            {[]string{good, "-c", caddyfile}, 0, "api a where host edge.test: never refused"},
		"failed":               {[]string{bad, "-c", caddyfile}, 1, "bad.yaml:2  in\n  line 2: GET https://edge.test/in with no token, from 192.0.2.1\n  expected  status 403\n  came      status 204"},
		"failed, explained":    {[]string{bad, "-c", caddyfile}, 1, "decided by respond 204"},
		"two files":            {[]string{good, bad, "-c", caddyfile}, 1, "2 cases, 1 failed"},
		"too little shown":     {[]string{good, "-c", caddyfile, "--fail-under", "90"}, 1, "--fail-under asks for 90 %"},
		"all that was asked":   {[]string{good, "-c", inJSON, "--fail-under", "100"}, 0, "100.0 %"},
		"named":                {[]string{good, "-c", caddyfile, "--all"}, 0, "good.yaml:2  in"},
		"JUnit":                {[]string{bad, good, "-c", caddyfile, "--junit", report}, 1, ""},
		"no number at all":     {[]string{good, "-c", caddyfile, "--fail-under", "NaN"}, 2, "no percentage"},
		"JUnit nowhere":        {[]string{good, "-c", caddyfile, "--junit", filepath.Join(dir, "none", "x.xml")}, 2, "none"},
		"the same file twice":  {[]string{good, good, "-c", caddyfile}, 2, "is there twice"},
		"a mistake":            {[]string{mistaken, "-c", caddyfile}, 2, "mistaken.yaml:4: expect: unknown field"},
		"no such file":         {[]string{filepath.Join(dir, "none.yaml"), "-c", caddyfile}, 2, "none.yaml"},
		"a folder":             {[]string{dir, "-c", caddyfile}, 2, "directory"},
		"no file":              {[]string{"-c", caddyfile}, 2, "requires at least 1 arg"},
		"no configuration":     {[]string{good, "-c", filepath.Join(dir, "None")}, 2, "None"},
		"does not load":        {[]string{good, "-c", broken}, 2, "Broken:2"},
		"no such flag":         {[]string{good, "--nonsense"}, 2, "nonsense"},
		"not a percentage":     {[]string{good, "-c", caddyfile, "--fail-under", "101"}, 2, "no percentage"},
		"an empty file":        {[]string{file("empty.yaml", ""), "-c", caddyfile}, 2, "empty.yaml: no cases"},
		"nothing to be served": {[]string{good, "-c", file("empty.json", "{}")}, 2, "no http app"},
	} {
		cmd := exec.Command(tollgate, append([]string{"policy", "test"}, test.args...)...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		code := 0
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			code = exit.ExitCode()
		}
		if code != test.code || !strings.Contains(string(out), test.says) {
			t.Errorf("%s: want %d and %q, got %d:\n%s", name, test.code, test.says, code, out)
		}
	}
	checkJUnit(t, report)
}

func checkJUnit(t *testing.T, name string) {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var result struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Suites   []struct {
			Name  string `xml:"name,attr"`
			Cases []struct {
				Name    string `xml:"name,attr"`
				Line    int    `xml:"line,attr"`
				Failure *struct {
					Message string `xml:"message,attr"`
				} `xml:"failure"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(content, &result); err != nil {
		t.Fatal(err)
	}
	if result.Tests != 2 || result.Failures != 1 || len(result.Suites) != 2 || result.Suites[0].Cases[0].Failure == nil ||
		result.Suites[0].Cases[0].Failure.Message != "status: want 403, got 204" || result.Suites[1].Cases[0].Failure != nil || result.Suites[0].Cases[0].Line != 2 {
		t.Errorf("%s", content)
	}
}
