package jose

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestParseObjectRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"nothing":                ``,
		"an array":               `[]`,
		"a string":               `"a"`,
		"duplicate member":       `{"a":1,"a":2}`,
		"duplicate by escape":    `{"iss":1,"i\u0073s":2}`,
		"duplicate inside":       `{"a":{"b":1,"b":1}}`,
		"trailing object":        `{} {}`,
		"trailing comma":         `{"a":1,}`,
		"trailing comma, array":  `{"a":[1,]}`,
		"comment":                `{/**/}`,
		"byte order mark":        "\xef\xbb\xbf{}",
		"vertical tab":           "{\v}",
		"single quotes":          `{'a':1}`,
		"bare name":              `{a:1}`,
		"no colon":               `{"a" 1}`,
		"no comma":               `{"a":1 "b":2}`,
		"leading zero":           `{"a":01}`,
		"leading plus":           `{"a":+1}`,
		"lone minus":             `{"a":-}`,
		"no fraction":            `{"a":1.}`,
		"no exponent":            `{"a":1e}`,
		"NaN":                    `{"a":NaN}`,
		"hexadecimal":            `{"a":0x1}`,
		"True":                   `{"a":True}`,
		"invalid UTF-8":          "{\"a\":\"\xff\"}",
		"overlong UTF-8":         "{\"a\":\"\xc0\xaf\"}",
		"raw control character":  "{\"a\":\"\n\"}",
		"raw NUL":                "{\"a\":\"\x00\"}",
		"control behind escape":  "{\"a\":\"\\n\x01\"}",
		"unknown escape":         `{"a":"\x41"}`,
		"short escape":           `{"a":"\u12"}`,
		"lone high surrogate":    `{"a":"\ud800"}`,
		"lone low surrogate":     `{"a":"\udc00"}`,
		"high without low":       `{"a":"\ud800\u0041"}`,
		"signed hexadecimal":     `{"a":"\u+123"}`,
		"open string":            `{"a":"`,
		"open string, escaped":   `{"a":"\"`,
		"open object":            `{"a":1`,
		"open array":             `{"a":[1`,
		"17 deep":                strings.Repeat(`{"a":`, 17) + `1` + strings.Repeat(`}`, 17),
		"10,000 deep":            `{"a":` + strings.Repeat(`[`, 10000) + strings.Repeat(`]`, 10000) + `}`,
		"10,000 deep, not ended": strings.Repeat(`{"a":`, 10000),
	}
	for name, document := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if object, err := ParseObject([]byte(document)); !errors.Is(err, ErrMalformed) {
				t.Errorf("got %v, %v", object, err)
			}
		})
	}
}

func TestParseObjectReads(t *testing.T) {
	t.Parallel()
	document := " \t\r\n{\"s\":\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00ü\",\"n\":-12.5e+3,\"z\":0," +
		"\"t\":true,\"f\":false,\"nil\":null,\"a\":[1, \"x\" ,[]],\"o\":{\"Iss\":1,\"iss\":2},\"\":{}}\n"
	got, err := ParseObject([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"s": "a\"\\/\b\f\n\r\té😀ü", "n": json.Number("-12.5e+3"), "z": json.Number("0"),
		"t": true, "f": false, "nil": nil,
		"a": []any{json.Number("1"), "x", []any{}},
		"o": map[string]any{"Iss": json.Number("1"), "iss": json.Number("2")},
		"":  map[string]any{},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %#v\nwant %#v", got, want)
	}
}

// FuzzParseObject holds the parser against encoding/json: what it accepts means the
// same there. (It accepts less.)
func FuzzParseObject(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"iss":"https://a","aud":["b"],"exp":1.5e3}`, `{"a":"\ud83d\ude00"}`, `{"a":{"b":[true,false,null]}}`,
		`{"a":1,"a":2}`, `{"a":"\ud800"}`, `{} {}`, `{"a":-0}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		got, err := ParseObject(document)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("error outside the vocabulary: %v", err)
			}
			return
		}
		decoder := json.NewDecoder(bytes.NewReader(document))
		decoder.UseNumber()
		var want map[string]any
		if err := decoder.Decode(&want); err != nil {
			t.Fatalf("accepted what encoding/json refuses: %v", err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %#v, encoding/json has %#v", got, want)
		}
	})
}

func TestNumericDate(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"0", "1700000000", "1700000000.25", "1.7e9", "253402300799"} {
		if _, err := NumericDate(json.Number(good)); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	if at, _ := NumericDate(json.Number("1700000000.25")); at.UnixMilli() != 1700000000250 {
		t.Errorf("fraction: %v", at)
	}
	for _, bad := range []any{nil, "1700000000", json.Number("-1"), json.Number("1e300"), json.Number("1e999"),
		json.Number("253402300800"), true, []any{}, 1.5} {
		if at, err := NumericDate(bad); err == nil {
			t.Errorf("%v: %v", bad, at)
		}
	}
}
