package cardnumber

import (
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
		"4111  1111 1111 1111":                     true,
		"4111.1111.1111.1111":                      true,
		"4111/1111/1111/1111":                      true,
		"4111 - 1111 - 1111 - 1111":                true,
		"4111\u00a01111\u00a01111\u00a01111":       true, // no-break spaces
		"4111\u20131111\u20131111\u20131111":       true, // en dashes
		"41\u200b1111\u200b1111111111":             true, // nothing to be seen
		"４１１１ １１１１ １１１１ １１１１":                      true, // full width
		"٤١١١١١١١١١١١١١١١":                         true, // Arabic-Indic
		"\U0001d7dc\U0001d7d911 1111 1111 1111":    true, // mathematical, bold
		"4111x1111x1111x1111":                      false,
		"4111 .:. 1111 .:. 1111 .:. 1111":          false,
		"4111111111111111, order 7":                true,
		"Order 20261123":                           false,
		"":                                         false,
		"00000000-0000-4000-8000-000000000000":     false,
		"01981111-1111-7111-8111-111111111111":     false,
		"ref 01981111-1111-7111-8111-111111111111": false,
	} {
		if got := In(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestUUIDsAreReferences(t *testing.T) {
	t.Parallel()
	isFine := func(id [16]byte) bool { return !In(uuid.UUID(id).String()) }
	if err := quick.Check(isFine, nil); err != nil {
		t.Error(err)
	}
}
