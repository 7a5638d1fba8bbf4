package payments

import "testing"

func TestCurrencies(t *testing.T) {
	t.Parallel()
	p := newPlatform(t, fresh.SQLite(t))
	a := p.call(request{method: "GET", path: "/api/currencies"}).expect(200, "")
	var list struct{ Data []currencyView }
	a.decode(&list)
	places := map[string]int{}
	for i, c := range list.Data {
		places[c.Code] = c.DecimalPlaces
		if i > 0 && list.Data[i-1].Code >= c.Code {
			t.Errorf("%s is out of order", c.Code)
		}
	}
	for code, want := range map[string]int{"EUR": 2, "JPY": 0, "KWD": 3, "CLF": 4, "IDR": 2} {
		if got, known := places[code]; !known || got != want {
			t.Errorf("%s has %d places, want %d", code, got, want)
		}
	}
	if len(places) < 160 {
		t.Errorf("only %d currencies", len(places))
	}
	const keep = "public, max-age=86400"
	tag := a.Header().Get("ETag")
	again := p.call(request{method: "GET", path: "/api/currencies", header: map[string]string{"If-None-Match": "W/" + tag}}).expect(304, "")
	for _, h := range []string{a.Header().Get("Cache-Control"), again.Header().Get("Cache-Control")} {
		if h != keep {
			t.Errorf("Cache-Control %q", h)
		}
	}
	if tag == "" || again.Body.Len() != 0 {
		t.Errorf("tag %s, and then %s", tag, again.Body)
	}
}
