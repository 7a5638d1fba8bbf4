package payments

import (
	"regexp"
	"strings"
)

const (
	minCardDigits = 13
	maxCardDigits = 19
)

var (
	// uuids are taken out before the search: among their digits a run that passes
	// the Luhn test is chance, and clients use them as references.
	uuids = regexp.MustCompile(`(?i)\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`)
	// digitGroups are digits as people write card numbers: in groups, with a space
	// or a hyphen between them.
	digitGroups = regexp.MustCompile(`[0-9]+(?:[ -][0-9]+)*`)
)

// holdsCardNumber tells whether a run of 13 to 19 digits, or of groups of digits,
// passes the Luhn test. No card number is ever stored: one that a customer typed
// into a text would bring the whole database into the scope of PCI DSS.
func holdsCardNumber(text string) bool {
	for _, run := range digitGroups.FindAllString(uuids.ReplaceAllString(text, "."), -1) {
		groups := strings.FieldsFunc(run, func(c rune) bool { return c == ' ' || c == '-' })
		for first := range groups {
			digits := ""
			for _, group := range groups[first:] {
				if digits += group; len(digits) > maxCardDigits {
					break
				}
				if len(digits) >= minCardDigits && luhn(digits) {
					return true
				}
			}
		}
	}
	return false
}

// luhn is the check of ISO/IEC 7812-1 annex B.
func luhn(digits string) bool {
	sum := 0
	for i := range len(digits) {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}
