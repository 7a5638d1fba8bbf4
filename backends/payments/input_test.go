package payments

import (
	"strings"
	"testing"
	"testing/quick"

	"github.com/google/uuid"
)

func TestHoldsCardNumber(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"4111111111111111":                         true,
		"4111 1111 1111 1111":                      true,
		"4111-1111-1111-1111":                      true,
		"my card: 4111 1111 1111 1111 12/28 123":   true,
		"my card: 4111 1111 1111 1111 12 28":       true, // the month behind it hides nothing
		"7 4111111111111111":                       true,
		"378282246310005":                          true, // 15 digits
		"6304000000000000":                         true,
		"4000000000000000006":                      true, // 19 digits
		"4222222222222":                            true, // 13 digits
		"x4111111111111111y":                       true,
		"4111111111111112":                         false, // no Luhn
		"411111111111":                             false, // too short
		"41111111111111111111":                     false, // too long
		"4111  1111 1111 1111":                     false,
		"Order 20261123":                           false,
		"":                                         false,
		"00000000-0000-4000-8000-000000000000":     false,
		"01981111-1111-7111-8111-111111111111":     false,
		"ref 01981111-1111-7111-8111-111111111111": false,
	} {
		if got := holdsCardNumber(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestUUIDsAreReferences(t *testing.T) {
	t.Parallel()
	isFine := func(id [16]byte) bool { return !holdsCardNumber(uuid.UUID(id).String()) }
	if err := quick.Check(isFine, nil); err != nil {
		t.Error(err)
	}
}

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
		if len(wrong.Faults) == 0 && (len([]rune(text)) > maxDescription || strings.ContainsRune(text, 0) || holdsCardNumber(text)) {
			t.Errorf("%q was let pass", text)
		}
	})
}
