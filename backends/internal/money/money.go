// Package money holds amounts as whole minor units with an ISO 4217 currency,
// and converts them to and from decimal strings exactly. There is no float in
// it, and nothing is ever rounded: what does not fit is an error.
package money

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Amount is a sum of money: 12350 EUR is 123.50 euros.
type Amount struct {
	Value    int64  `json:"value"`    // minor units
	Currency string `json:"currency"` // ISO 4217 code, upper case
}

// What Parse and Validate refuse.
var (
	ErrCurrency = errors.New("not a currency of ISO 4217 that has minor units")
	ErrDecimal  = errors.New("not a plain decimal number")
	ErrFraction = errors.New("more decimal places than the currency has")
	ErrRange    = errors.New("too large")
)

// Validate says whether the currency is one that can be paid in.
func (a Amount) Validate() error {
	if _, known := Exponent(a.Currency); !known {
		return ErrCurrency
	}
	return nil
}

// Parse reads a decimal string such as "123.50". It takes an optional minus
// sign, no plus sign, no exponent, no grouping, no leading zeros, and at most
// as many decimal places as the currency has.
func Parse(decimal, currency string) (Amount, error) {
	exponent, known := Exponent(currency)
	if !known {
		return Amount{}, ErrCurrency
	}
	unsigned, negative := strings.CutPrefix(decimal, "-")
	whole, fraction, hasPoint := strings.Cut(unsigned, ".")
	if !isWhole(whole) || (hasPoint && !isDigits(fraction)) {
		return Amount{}, ErrDecimal
	}
	if len(fraction) > exponent {
		return Amount{}, ErrFraction
	}
	digits := whole + fraction + strings.Repeat("0", exponent-len(fraction))
	if negative {
		digits = "-" + digits
	}
	value, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return Amount{}, ErrRange // the digits are checked: only the size is left to go wrong
	}
	if value == 0 && negative {
		return Amount{}, ErrDecimal
	}
	return Amount{Value: value, Currency: currency}, nil
}

// Decimal gives the amount as a decimal string with all the places of its
// currency: "123.50", "-0.05", "500" for yen. The currency must be a known one.
func (a Amount) Decimal() (string, error) {
	exponent, known := Exponent(a.Currency)
	if !known {
		return "", ErrCurrency
	}
	digits, negative := strings.CutPrefix(strconv.FormatInt(a.Value, 10), "-")
	if missing := exponent + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	if exponent > 0 {
		point := len(digits) - exponent
		digits = digits[:point] + "." + digits[point:]
	}
	if negative {
		digits = "-" + digits
	}
	return digits, nil
}

// String is for people and logs: "123.50 EUR".
func (a Amount) String() string {
	decimal, err := a.Decimal()
	if err != nil {
		return fmt.Sprintf("%d minor units of %q", a.Value, a.Currency)
	}
	return decimal + " " + a.Currency
}

// isWhole tells digits without a needless leading zero.
func isWhole(s string) bool {
	return isDigits(s) && (len(s) == 1 || s[0] != '0')
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
