package openapitest

import (
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/oasdiff/oasdiff/checker"
	"github.com/oasdiff/oasdiff/diff"
	specs "github.com/oasdiff/oasdiff/load"
)

// RequireCompatible fails the test when a client that was written to the released
// document could break on the current one. What is announced is a break that was decided
// on, by a part of its text; one that is not there any more fails the test too.
func RequireCompatible(t testing.TB, released, current []byte, announced ...string) {
	t.Helper()
	broken, err := breaks(released, current)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range unannounced(broken, announced) {
		t.Error(change)
	}
}

// unannounced gives the changes that nobody has announced, and what was announced and
// is no change.
func unannounced(broken, announced []string) (left []string) {
	missing := slices.Clone(announced)
	for _, change := range broken {
		is := func(text string) bool { return strings.Contains(change, text) }
		if !slices.ContainsFunc(announced, is) {
			left = append(left, change)
		}
		missing = slices.DeleteFunc(missing, is)
	}
	for _, text := range missing {
		left = append(left, "announced, and not there: "+text)
	}
	return left
}

func breaks(released, current []byte) (texts []string, err error) {
	was, err := openapi3.NewLoader().LoadFromData(released)
	if err != nil {
		return nil, err
	}
	is, err := openapi3.NewLoader().LoadFromData(current)
	if err != nil {
		return nil, err
	}
	changes, sources, err := diff.GetWithOperationsSourcesMap(diff.NewConfig(), &specs.SpecInfo{Spec: was}, &specs.SpecInfo{Spec: is})
	if err != nil {
		return nil, err
	}
	localizer := checker.NewDefaultLocalizer()
	for _, change := range checker.CheckBackwardCompatibility(checker.NewConfig(checker.GetAllChecks()), changes, sources) {
		texts = append(texts, change.GetOperation()+" "+change.GetPath()+": "+change.GetUncolorizedText(localizer))
	}
	return texts, nil
}
