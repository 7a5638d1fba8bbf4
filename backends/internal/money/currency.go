package money

import (
	"maps"
	"slices"
	"strings"
)

// The active currencies of ISO 4217 by the number of their decimal places.
// The standard's own table, not CLDR's: CLDR gives display digits, which differ
// (IDR, IQD and others), and a difference there is money. Codes without minor
// units (gold, testing, none) are left out: nobody can pay in them.
const (
	noPlaces    = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
	threePlaces = "BHD IQD JOD KWD LYD OMR TND"
	fourPlaces  = "CLF UYW"
	twoPlaces   = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD " +
		"CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP " +
		"GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL " +
		"MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN " +
		"QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD " +
		"TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG"
)

var exponents = func() map[string]int {
	table := make(map[string]int, 180)
	for places, codes := range map[int]string{0: noPlaces, 2: twoPlaces, 3: threePlaces, 4: fourPlaces} {
		for _, code := range strings.Fields(codes) {
			table[code] = places
		}
	}
	return table
}()

// Exponent gives the number of decimal places of a currency, and whether the
// code is known. Codes are upper case, as in the standard.
func Exponent(currency string) (places int, known bool) {
	places, known = exponents[currency]
	return places, known
}

// Currencies gives the codes, in order.
func Currencies() []string { return slices.Sorted(maps.Keys(exponents)) }
