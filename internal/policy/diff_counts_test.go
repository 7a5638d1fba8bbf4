package policy

import (
	"strings"
	"testing"
)

// TestDiffSumsUp: how much has changed stands behind all of it, for people.
func TestDiffSumsUp(t *testing.T) {
	t.Parallel()
	d := &DiffResult{Complete: true, Changes: []*Change{
		{Direction: Widened, API: "users", Method: "GET"}, {Direction: Widened, API: "payments", Method: "GET"}, {Direction: Widened, API: "payments"},
		{Direction: Moved, Method: "GET"}, {Direction: Moved},
	}}
	const want = "\n3 widened (payments 2, users 1), 2 moved (outside any api 1, settings 1)\n\nTo load"
	var text, markdown strings.Builder
	if err := d.WriteText(&text); err != nil || !strings.Contains(text.String(), want) {
		t.Errorf("%v: %s", err, text.String())
	}
	if err := d.WriteMarkdown(&markdown); err != nil || !strings.Contains(markdown.String(), want) {
		t.Errorf("%v: %s", err, markdown.String())
	}
	d.Changes = nil
	text.Reset()
	if err := d.WriteText(&text); err != nil || strings.Contains(text.String(), "widened") {
		t.Errorf("%v: %s", err, text.String())
	}
}
