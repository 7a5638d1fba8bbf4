package openapitest

import (
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/oasdiff/oasdiff/checker"
	"github.com/oasdiff/oasdiff/diff"
	specs "github.com/oasdiff/oasdiff/load"
)

// RequireCompatible fails the test when a client that was written to the released
// document could break on the current one.
func RequireCompatible(t testing.TB, released, current []byte) {
	t.Helper()
	broken, err := breaks(released, current)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range broken {
		t.Error(change)
	}
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
