package command

import (
	"encoding/csv"
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
		size := l.Info().Size
		l.Append(auditlog.Record{Kind: auditlog.KindDecision, API: fmt.Sprint("api-", n%2), RequestID: fmt.Sprint("r", n)})
		for l.Info().Size == size { // each in a batch of its own
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

// A request has one record. Where a log says otherwise, none of them is picked in silence.
func TestARequestThatIsThereTwice(t *testing.T) {
	t.Parallel()
	dir := logOf(t, auditlog.Record{RequestID: "one"}, auditlog.Record{RequestID: "two"}, auditlog.Record{RequestID: "two"})
	if number, err := numberOf(dir, "one"); number != 1 || err != nil {
		t.Errorf("%d, %v", number, err)
	}
	if _, err := numberOf(dir, "two"); err == nil || !strings.Contains(err.Error(), "records 2 and 3 are") {
		t.Errorf("%v", err)
	}
}

// logOf gives the folder of a log of these records.
func logOf(t *testing.T, records ...auditlog.Record) (dir string) {
	t.Helper()
	dir = t.TempDir()
	l, err := auditlog.Open(auditlog.Config{Dir: dir, Origin: "edge.test/audit"})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		l.Append(r)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Nothing in a table is a formula, a line of its own, or an order to a terminal.
func TestCellsAreText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "", "payments": "payments", "-Ab_9-x": "-Ab_9-x", "-5": "-5", "a=b": "a=b", `say "so", twice`: `say "so", twice`,
		"=1+1": "'=1+1", "+1": "'+1", "@SUM(A1)": "'@SUM(A1)", "-2+cmd|' /C calc'!A0": "'-2+cmd|' /C calc'!A0",
		"a\nb": `a\u000ab`, "\t=1": `\u0009=1`, "\r=1": `\u000d=1`, "\x1b[2J": `\u001b[2J`,
	} {
		if got := cell(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
	dir := logOf(t, auditlog.Record{API: "=cmd|' /C calc'!A0", Detail: "a,\n\"b\""})
	var table strings.Builder
	if err := exportCSV(&table, dir, filter{api: "=cmd|' /C calc'!A0"}); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(table.String())).ReadAll()
	if err != nil || len(rows) != 2 || rows[1][6] != "'=cmd|' /C calc'!A0" || rows[1][17] != `a,\u000a"b"` || strings.Count(table.String(), "\n") != 2 {
		t.Errorf("%q, %v", rows, err)
	}
}
