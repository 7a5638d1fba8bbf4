package command

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/open-tollgate/tollgate/internal/auditlog"
)

// What a terminal takes for orders is shown as what it is, and JSON stays what it says.
func TestLinesAreShown(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		`{"api":"payments"}`, `{"detail":"caf\u00e9 é \u001b"}`, "{\"detail\":\"\u009b31m \u007f \u202e \U000e0041 \ufeff\"}",
	} {
		var before, after any
		text := string(shown([]byte(line)))
		if err := json.Unmarshal([]byte(line), &before); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(text), &after); err != nil || before.(map[string]any)["detail"] != after.(map[string]any)["detail"] {
			t.Errorf("%q became %q: %v", line, text, err)
		}
	}
	for _, line := range []string{"\x1b]0;title\x07", "\xff\xfe", "a\rb", "\u009b2J"} {
		if text := string(shown([]byte(line))); strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q became %q", line, text)
		}
	}
}

// The newest records come from the newest segments, and in their order.
func TestTailIsReadFromTheEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, err := auditlog.Open(auditlog.Config{Dir: dir, Origin: "edge.test/audit", SegmentSize: 300, Interval: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 40 {
		for size := l.Info().Size; l.Info().Size == size; { // each in a batch of its own
			if l.Info().Waiting == 0 {
				l.Append(auditlog.Record{Kind: auditlog.KindDecision, API: fmt.Sprint("api-", n%2), RequestID: fmt.Sprint("r", n)})
			}
			time.Sleep(100 * time.Microsecond)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var all []string
	_ = auditlog.Records(dir, 0, func(_ int64, text []byte) bool {
		all = append(all, string(text))
		return true
	})
	odd := slices.DeleteFunc(slices.Clone(all), func(line string) bool { return !strings.Contains(line, "api-1") })
	for _, count := range []int{0, 1, 2, 7, 1000} {
		for _, test := range []struct {
			filter filter
			of     []string
		}{{filter{}, all}, {filter{api: "api-1"}, odd}} {
			var out strings.Builder
			next, err := printTail(&out, dir, test.filter, count)
			want := ""
			for _, line := range test.of[max(0, len(test.of)-count):] {
				want += line + "\n"
			}
			if err != nil || out.String() != want || next != int64(len(all)) {
				t.Errorf("%d of %+v: next %d, %v\n%s", count, test.filter, next, err, out.String())
			}
		}
	}
	for _, n := range []int{0, 17, 39} {
		number, err := numberOf(dir, fmt.Sprint("r", n))
		if err != nil || !strings.Contains(all[number], fmt.Sprintf(`"request_id":"r%d"`, n)) {
			t.Errorf("r%d is record %d, %v", n, number, err)
		}
	}
	if _, err := numberOf(dir, "r40"); err == nil {
		t.Error("a record that is not there")
	}
}
