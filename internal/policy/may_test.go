package policy

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestTooLargeWhereTheBodyIsLookedAt: a request that is refused in front of request_body is
// not measured by it.
func TestTooLargeWhereTheBodyIsLookedAt(t *testing.T) {
	t.Parallel()
	const limited = `{"handle":[{"handler":"request_body","max_size":1000}]},`
	c, err := Parse([]byte(with(`{"handle":[{"handler":"api","name":"pay","routes":[`+token+limited+services+`]}]}`, `"listen":[":443"]`, `"audiences":["a"]`, ``)))
	if err != nil {
		t.Fatal(err)
	}
	large := func(o Outcome) bool {
		return slices.ContainsFunc(c.MayAlso(&o), func(may string) bool { return strings.HasPrefix(may, "413 ") })
	}
	r := Request{Method: "POST", Host: "localhost", Target: "/pay", TLS: true, Remote: netip.MustParseAddr("198.51.100.77")}
	for _, o := range c.Evaluate(c.Servers[0], r, &Judge{Now: time.Now()}) {
		if o.Status != 401 || large(o) {
			t.Errorf("%d %s, and 413: %v", o.Status, o.Reason, large(o))
		}
	}
	for _, o := range c.Evaluate(c.Servers[0], r, nil) {
		if o.Kind != Forwarded || !large(o) {
			t.Errorf("%s, and 413: %v", o.Kind, large(o))
		}
	}
}
