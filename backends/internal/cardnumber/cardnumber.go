// Package cardnumber finds payment card numbers in free text. None is ever stored:
// one that somebody typed into a text would bring the whole database into the
// scope of PCI DSS.
package cardnumber

import (
	"regexp"
	"strings"
	"unicode"
)

const (
	minDigits = 13
	maxDigits = 19
)

var (
	// uuids are taken out before the search: among their digits a run that passes
	// the Luhn test is chance, and clients use them as references.
	uuids = regexp.MustCompile(`(?i)\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`)
	// digitGroups are digits as people write card numbers: in groups, with up to
	// three characters between them that are neither letters nor digits. Which ones,
	// hyphens, dots, or a space that does not break, is up to whoever types.
	digitGroups = regexp.MustCompile(`\p{Nd}+(?:[^\p{L}\p{N}]{1,3}\p{Nd}+)*`)
)

// In tells whether the text holds a run of 13 to 19 digits, or of groups of digits,
// that passes the Luhn test. A long reference number can do so by chance: one in ten
// is refused.
func In(text string) bool {
	for _, run := range digitGroups.FindAllString(uuids.ReplaceAllString(text, "x"), -1) {
		groups := strings.FieldsFunc(run, func(c rune) bool { return !unicode.Is(unicode.Nd, c) })
		for first := range groups {
			var digits []int
			for _, group := range groups[first:] {
				if digits = append(digits, values(group)...); len(digits) > maxDigits {
					break
				}
				if len(digits) >= minDigits && luhn(digits) {
					return true
				}
			}
		}
	}
	return false
}

// values gives the digits of a group, of whatever script: Unicode has each set of
// ten in order, beginning with its zero.
func values(group string) []int {
	digits := make([]int, 0, len(group))
	for _, c := range group {
		digits = append(digits, value(c))
	}
	return digits
}

func value(c rune) int {
	for _, r := range unicode.Nd.R16 {
		if rune(r.Lo) <= c && c <= rune(r.Hi) {
			return int(c-rune(r.Lo)) % 10
		}
	}
	for _, r := range unicode.Nd.R32 {
		if rune(r.Lo) <= c && c <= rune(r.Hi) { // #nosec G115 -- code points fit
			return int(c-rune(r.Lo)) % 10 // #nosec G115 -- as above
		}
	}
	return 0
}

// luhn is the check of ISO/IEC 7812-1 annex B.
func luhn(digits []int) bool {
	sum := 0
	for i := range digits {
		d := digits[len(digits)-1-i]
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}
