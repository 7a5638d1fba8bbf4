package auditlog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const origin = "edge-1.example.com/audit"

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// clock is a virtual one.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// idle opens a log that is written only by flush.
func idle(t testing.TB, c Config) *Log {
	t.Helper()
	if c.Origin == "" {
		c.Origin = origin
	}
	l, err := open(c)
	if err != nil {
		t.Fatal(err)
	}
	close(l.done) // there is no goroutine that Close has to wait for
	return l
}

func decision(n int) Record {
	return Record{
		Kind: KindDecision, RequestID: fmt.Sprintf("request-%d", n), API: "payments", Rule: "require", Method: "POST",
		Client: "client-1", Subject: "user-1", TokenID: "token-1", Outcome: "refused", Reason: "insufficient_scope", Status: 403,
	}
}

func flush(t testing.TB, l *Log) {
	t.Helper()
	if err := l.flush(); err != nil {
		t.Fatal(err)
	}
}

func closeLog(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func verifierOf(t testing.TB, dir string) note.Verifier {
	t.Helper()
	v, err := ReadPublicKey(filepath.Join(dir, publicKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// write makes a log of some segments, with some checkpoints in each.
func write(t testing.TB, dir string, batches, size int) {
	t.Helper()
	now := &clock{at: noon}
	l := idle(t, Config{Dir: dir, SegmentSize: 1 << 10, Now: now.now})
	for b := range batches {
		for n := range size {
			l.Append(decision(b*size + n))
		}
		now.add(time.Second)
		flush(t, l)
	}
	closeLog(t, l)
}

func TestALogIsVerified(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, 20, 3)
	report, err := Verify(dir, verifierOf(t, dir), Expect{})
	if err != nil {
		t.Fatal(err)
	}
	if report.Size != 62 || report.Checkpoints != 22 || report.First != 0 || report.Uncovered != 0 {
		t.Errorf("%+v", report)
	}
	if firsts, err := segments(dir); err != nil || len(firsts) < 4 {
		t.Errorf("segments %v, %v", firsts, err)
	}
}

// The edge computes what golang.org/x/mod/sumdb/tlog does, which follows RFC 6962.
func TestTheTreeIsRFC6962(t *testing.T) {
	t.Parallel()
	var e edge
	var stored []tlog.Hash
	read := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for n, index := range indexes {
			hashes[n] = stored[index]
		}
		return hashes, nil
	})
	for n := range int64(300) {
		text := fmt.Append(nil, "record ", n)
		want, err := tlog.StoredHashes(n, text, read)
		if err != nil {
			t.Fatal(err)
		}
		if got := e.add(tlog.RecordHash(text), nil); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("record %d stores %v, want %v", n, got, want)
		}
		stored = append(stored, want...)
		root, err := tlog.TreeHash(n+1, read)
		if err != nil || e.root() != root {
			t.Fatalf("root of %d: %v, want %v, %v", n+1, e.root(), root, err)
		}
		again, err := newEdge(e.size, e.hashes())
		if err != nil || again.root() != root {
			t.Fatalf("edge of %d: %v", n+1, err)
		}
	}
	if empty, err := tlog.TreeHash(0, nil); err != nil || (&edge{}).root() != empty {
		t.Errorf("root of nothing: %v", err)
	}
}

func TestNoNameIsWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := idle(t, Config{Dir: dir})
	r := decision(1)
	r.Client, r.Subject, r.TokenID, r.Address = "canary-client", "canary-subject", "canary-token", "192.0.2.7"
	l.Append(r)
	closeLog(t, l)
	all := ""
	if err := Records(dir, 0, func(_ int64, text []byte) bool { all += string(text) + "\n"; return true }); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(all, "canary") || strings.Contains(all, "192.0.2.7") {
		t.Errorf("a name is in %s", all)
	}
	for kind, value := range map[string]string{
		ClientPseudonym: r.Client, SubjectPseudonym: r.Subject, TokenPseudonym: r.TokenID, AddressPseudonym: r.Address,
	} {
		pseudonym, err := Pseudonym(dir, kind, value)
		if err != nil || !strings.Contains(all, `"`+kind+`":"`+pseudonym+`"`) {
			t.Errorf("%s: %q is not in %s, %v", kind, pseudonym, all, err)
		}
	}
}

func TestKeysStay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, 1, 1)
	before, err := os.ReadFile(filepath.Join(dir, publicKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, 1, 1)
	if after, err := os.ReadFile(filepath.Join(dir, publicKeyFile)); err != nil || string(after) != string(before) {
		t.Errorf("%s, %s, %v", before, after, err)
	}
	for _, secret := range []string{signingKeyFile, pseudonymFile} {
		if info, err := os.Stat(filepath.Join(dir, secret)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", secret, info.Mode(), err)
		}
	}
	if _, err := open(Config{Dir: dir, Origin: "another"}); err == nil || !strings.Contains(err.Error(), "this log is") {
		t.Errorf("another name: %v", err)
	}
}

func TestOneWriter(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := idle(t, Config{Dir: dir})
	if _, err := open(Config{Dir: dir, Origin: origin}); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("a second writer: %v", err)
	}
	closeLog(t, l)
	again, err := open(Config{Dir: dir}) // goes by the name that the key has
	if err != nil {
		t.Fatal(err)
	}
	close(again.done)
	closeLog(t, again)
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]Config{
		"no folder":     {Origin: origin},
		"blank":         {Dir: "x", Origin: "a b"},
		"plus":          {Dir: "x", Origin: "a+b"},
		"long interval": {Dir: "x", Origin: origin, Interval: 2 * time.Second},
		"negative":      {Dir: "x", Origin: origin, Queue: -1},
	} {
		if _, err := c.Check(); err == nil {
			t.Errorf("%s passes", name)
		}
	}
}

// What finds no room is counted, and the log says so itself.
func TestNoRoom(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := idle(t, Config{Dir: dir, Queue: 4})
	if err := l.Reserve(); err != nil {
		t.Fatal(err)
	}
	for n := range 5 {
		l.Append(decision(n))
	}
	if err := l.Reserve(); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a place that is not there: %v", err)
	}
	l.AppendReserved(decision(9)) // has its place all the same
	if info := l.Info(); info.Waiting != 4 || info.Lost != 2 {
		t.Errorf("%+v", info)
	}
	flush(t, l)
	closeLog(t, l)
	kinds := ""
	_ = Records(dir, 0, func(_ int64, text []byte) bool {
		_, rest, _ := strings.Cut(string(text), `"kind":"`)
		kind, _, _ := strings.Cut(rest, `"`)
		kinds += kind + " "
		return true
	})
	if kinds != "started decision decision decision decision lost stopped " {
		t.Errorf("kinds %s", kinds)
	}
}

func TestProofs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, 20, 3)
	verifier := verifierOf(t, dir)
	for number := range int64(62) {
		proof, err := Prove(dir, number, verifier)
		if err != nil {
			t.Fatalf("record %d: %v", number, err)
		}
		altered := proof
		altered.Record = strings.Replace(proof.Record, "2026", "2027", 1)
		if altered.Check(verifier) == nil {
			t.Errorf("record %d: an altered record is proved", number)
		}
		altered = proof
		altered.Number = (number + 1) % 62
		if altered.Check(verifier) == nil {
			t.Errorf("record %d: another place is proved", number)
		}
	}
	if _, err := Prove(dir, 62, verifier); err == nil {
		t.Error("a record that is not there is proved")
	}
	stranger := t.TempDir()
	write(t, stranger, 1, 1)
	proof, err := Prove(dir, 7, verifier)
	if err != nil {
		t.Fatal(err)
	}
	if proof.Check(verifierOf(t, stranger)) == nil {
		t.Error("a stranger's key verifies")
	}
}

// Appending is on the path of requests.
func BenchmarkAppend(b *testing.B) {
	l := idle(b, Config{Dir: b.TempDir()})
	r := decision(1)
	r.Time = noon
	b.ReportAllocs()
	for b.Loop() {
		if l.Reserve() == nil {
			l.AppendReserved(r)
		}
		if len(l.queue) == 10_000 {
			l.queue = l.queue[:0] // as a writer on another core would take them
		}
	}
}

// BenchmarkWrite is what a record costs off that path, the disk included.
func BenchmarkWrite(b *testing.B) {
	l := idle(b, Config{Dir: b.TempDir()})
	r := decision(rand.IntN(10))
	b.ReportAllocs()
	for b.Loop() {
		l.Append(r)
		if len(l.queue) == 10_000 {
			flush(b, l)
		}
	}
	closeLog(b, l)
}

// TestNoRecordIsTooLongToRead has texts of any length, each octet of which takes six in
// JSON: a line that the reader takes for no record would be the end of the log.
func TestNoRecordIsTooLongToRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := idle(t, Config{Dir: dir})
	long := strings.Repeat("\x01", maxLine)
	l.Append(Record{
		Time: noon, Kind: KindConfig, RequestID: long, Policy: long, API: long, Rule: long, Method: long, Client: long, Subject: long,
		TokenID: long, Address: long, Outcome: long, Reason: long, Previous: long, Detail: strings.Repeat("ü", maxText),
	})
	closeLog(t, l)
	report, err := Verify(dir, verifierOf(t, dir), Expect{})
	if err != nil || report.Size < 3 {
		t.Fatalf("%+v %v", report, err)
	}
	closeLog(t, idle(t, Config{Dir: dir}))
	if text := read(t, filepath.Join(dir, "0000000000000000000.records")); !strings.Contains(string(text), `üü... (8192 octets more)`) || strings.Contains(string(text), "\ufffd") {
		t.Errorf("how much is left out is not said: %.300s", text)
	}
}
