package money

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		decimal, currency string
		want              int64
		err               error
	}{
		{"123.50", "EUR", 12350, nil},
		{"123.5", "EUR", 12350, nil},
		{"123", "EUR", 12300, nil},
		{"0.01", "EUR", 1, nil},
		{"-0.01", "EUR", -1, nil},
		{"500", "JPY", 500, nil},
		{"1.234", "KWD", 1234, nil},
		{"1.2345", "CLF", 12345, nil},
		{"1500.75", "IDR", 150075, nil},
		{"92233720368547758.07", "EUR", math.MaxInt64, nil},
		{"-92233720368547758.08", "EUR", math.MinInt64, nil},
		{"92233720368547758.08", "EUR", 0, ErrRange},
		{"1.234", "EUR", 0, ErrFraction},
		{"1.000", "EUR", 0, ErrFraction},
		{"1.0", "JPY", 0, ErrFraction},
		{"1", "XAU", 0, ErrCurrency},
		{"1", "eur", 0, ErrCurrency},
		{"1", "", 0, ErrCurrency},
		{"", "EUR", 0, ErrDecimal},
		{"-", "EUR", 0, ErrDecimal},
		{".5", "EUR", 0, ErrDecimal},
		{"5.", "EUR", 0, ErrDecimal},
		{"01", "EUR", 0, ErrDecimal},
		{"+1", "EUR", 0, ErrDecimal},
		{"-0.00", "EUR", 0, ErrDecimal},
		{"--1", "EUR", 0, ErrDecimal},
		{"1e3", "EUR", 0, ErrDecimal},
		{"1,50", "EUR", 0, ErrDecimal},
		{" 1", "EUR", 0, ErrDecimal},
		{"1.5.0", "EUR", 0, ErrDecimal},
		{"1_000", "EUR", 0, ErrDecimal},
		{"١", "EUR", 0, ErrDecimal},
	} {
		got, err := Parse(c.decimal, c.currency)
		if !errors.Is(err, c.err) || got.Value != c.want {
			t.Errorf("Parse(%q, %q) = %d, %v; want %d, %v", c.decimal, c.currency, got.Value, err, c.want, c.err)
		}
	}
}

func TestString(t *testing.T) {
	t.Parallel()
	for want, a := range map[string]Amount{
		"123.50 EUR":                {12350, "EUR"},
		"-0.05 EUR":                 {-5, "EUR"},
		"500 JPY":                   {500, "JPY"},
		"0.000 BHD":                 {0, "BHD"},
		`7 minor units of "???"`:    {7, "???"},
		"-92233720368547758.08 EUR": {math.MinInt64, "EUR"},
	} {
		if got := a.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	out, err := json.Marshal(Amount{12350, "EUR"})
	if err != nil || string(out) != `{"value":12350,"currency":"EUR"}` {
		t.Fatalf("got %s, %v", out, err)
	}
	for _, bad := range []string{`{"value":1.5}`, `{"value":"1"}`, `{"value":1e3}`, `{"value":9223372036854775808}`} {
		if err := json.Unmarshal([]byte(bad), &Amount{}); err == nil {
			t.Errorf("%s was taken as an amount", bad)
		}
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	listed := strings.Fields(noPlaces + " " + twoPlaces + " " + threePlaces + " " + fourPlaces)
	if len(exponents) != len(listed) {
		t.Errorf("%d codes are listed, %d are known: one is listed twice", len(listed), len(exponents))
	}
	for code := range exponents {
		if len(code) != 3 || code != strings.ToUpper(code) {
			t.Errorf("%q is not a currency code", code)
		}
	}
	// Where CLDR's display digits differ from the standard.
	for code, want := range map[string]int{"IDR": 2, "IQD": 3, "HUF": 2, "JPY": 0, "ISK": 0, "MGA": 2, "CLF": 4} {
		if got, _ := Exponent(code); got != want {
			t.Errorf("%s has %d places, want %d", code, got, want)
		}
	}
}

// currencies draws a known currency.
func currencies() *rapid.Generator[string] {
	return rapid.SampledFrom(strings.Fields(noPlaces + " " + twoPlaces + " " + threePlaces + " " + fourPlaces))
}

func TestParseReversesDecimal(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := Amount{Value: rapid.Int64().Draw(t, "value"), Currency: currencies().Draw(t, "currency")}
		decimal, err := want.Decimal()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Parse(decimal, want.Currency); err != nil || got != want {
			t.Fatalf("%v became %q became %v, %v", want, decimal, got, err)
		}
	})
}

// FuzzParse holds Parse to exact rational arithmetic.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"0", "1.5", "-1.50", "9223372036854775807", "0.0001", "1e5", "-0"} {
		f.Add(seed, "EUR")
		f.Add(seed, "JPY")
		f.Add(seed, "CLF")
	}
	f.Fuzz(func(t *testing.T, decimal, currency string) {
		got, err := Parse(decimal, currency)
		if err != nil {
			return
		}
		exact, ok := new(big.Rat).SetString(decimal)
		if !ok {
			t.Fatalf("%q is no number and was taken as %v", decimal, got)
		}
		places, _ := Exponent(currency)
		unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(places)), nil)
		if exact.Mul(exact, new(big.Rat).SetInt(unit)).Cmp(new(big.Rat).SetInt64(got.Value)) != 0 {
			t.Fatalf("%q became %d", decimal, got.Value)
		}
	})
}
