package command

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
)

// What a terminal takes for orders is shown as what it is, and JSON stays what it says.
func TestLinesAreShown(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		`{"api":"payments"}`, `{"detail":"caf\u00e9 é \u001b"}`, "{\"detail\":\"\u009b31m \u007f \u202e \U000e0041 \ufeff\"}",
	} {
		var before, after any
		text := string(shown([]byte(line)))
		if err := json.Unmarshal([]byte(line), &before); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(text), &after); err != nil || before.(map[string]any)["detail"] != after.(map[string]any)["detail"] {
			t.Errorf("%q became %q: %v", line, text, err)
		}
	}
	for _, line := range []string{"\x1b]0;title\x07", "\xff\xfe", "a\rb", "\u009b2J"} {
		if text := string(shown([]byte(line))); strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q became %q", line, text)
		}
	}
}
