package revocation

import (
	"testing"
	"time"
)

func TestTextOfARevocation(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1800000000123)
	for _, r := range []Revocation{
		OfToken("https://a", `"quoted"`, now), OfGrant("https://a", "g", now), OfSubject("https://a", "ü", now),
	} {
		text, err := encode(r)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decode(text); got != r || err != nil {
			t.Errorf("%s is read as %+v, %v", text, got, err)
		}
	}
	if _, err := encode(Revocation{}); err == nil {
		t.Error("nothing has a text")
	}
}

func TestTextsThatAreNone(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "null", "[]", "{}", `{"iss":"a","jti":"1"}`, `{"iss":"a","jti":"1","until":1,"client_id":"c"}`,
		`{"iss":"a","jti":"1","until":"1"}`, `{"iss":"a","jti":"1","until":1}{}`, `{"iss":"a","sub":"u","until":1}`,
	} {
		if r, err := decode(text); err == nil {
			t.Errorf("%s is read as %+v", text, r)
		}
	}
}

// FuzzDecode: what is read says the same when it is written and read again.
func FuzzDecode(f *testing.F) {
	f.Add(`{"iss":"a","jti":"1","until":1}`)
	f.Add(`{"iss":"a","sub":"u","before":1,"until":9223372036854775807}`)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := decode(text)
		if err != nil {
			return
		}
		again, err := encode(r)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if got, err := decode(again); got != r || err != nil {
			t.Fatalf("%q, then %q: %+v, %v", text, again, got, err)
		}
	})
}
