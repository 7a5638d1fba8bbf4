package payments

import (
	"strings"
	"testing"

	"github.com/open-tollgate/tollgate/backends/internal/cardnumber"
)

// FuzzText holds what is let pass to what the checks promise.
func FuzzText(f *testing.F) {
	for _, seed := range []string{"Order 7", "4111 1111 1111 1111", "a\x00", "\u202e", strings.Repeat("x", 141), "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var wrong faults
		wrong.text("/description", text, maxDescription)
		if len(wrong.Faults) > 1 {
			t.Errorf("%q: %v", text, wrong.Faults)
		}
		if len(wrong.Faults) == 0 && (len([]rune(text)) > maxDescription || strings.ContainsRune(text, 0) || cardnumber.In(text)) {
			t.Errorf("%q was let pass", text)
		}
	})
}
