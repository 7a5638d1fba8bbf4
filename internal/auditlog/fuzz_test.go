package auditlog

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// FuzzFiles: whatever the files of a segment are, what is verified is what was signed. What
// cannot be verified ends in an error, for who verifies and for an edge that starts with it.
func FuzzFiles(f *testing.F) {
	source := f.TempDir()
	l := idle(f, Config{Dir: source})
	for n := range 5 {
		l.Append(decision(n))
		flush(f, l)
	}
	closeLog(f, l)
	verifier := verifierOf(f, source)
	content := make(map[string][]byte)
	for _, suffix := range suffixes {
		content[suffix] = read(f, segmentPath(source, 0, suffix))
	}
	records := content[recordsSuffix]
	for _, cut := range []int{0, 1, 40} {
		end := func(suffix string) []byte { return content[suffix][:len(content[suffix])-cut] }
		f.Add(end(startSuffix), end(recordsSuffix), end(hashesSuffix), end(checkpointsSuffix))
	}
	f.Add([]byte("\n\n\n\n\n\n\n"), bytes.Repeat([]byte("[["), 1000), make([]byte, 100), bytes.Repeat([]byte{0, '\n'}, 20))
	f.Fuzz(func(t *testing.T, start, lines, hashes, notes []byte) {
		dir := t.TempDir()
		for suffix, now := range map[string][]byte{startSuffix: start, recordsSuffix: lines, hashesSuffix: hashes, checkpointsSuffix: notes} {
			overwrite(t, segmentPath(dir, 0, suffix), now)
		}
		report, err := Verify(dir, verifier, Expect{Live: true})
		if err == nil {
			signed := 0
			for range report.Size {
				signed += bytes.IndexByte(records[signed:], '\n') + 1
			}
			if !bytes.HasPrefix(lines, records[:signed]) {
				t.Errorf("%+v of %q", report, lines)
			}
		}
		for _, key := range []string{signingKeyFile, publicKeyFile, pseudonymFile} {
			if err := os.WriteFile(filepath.Join(dir, key), read(t, filepath.Join(source, key)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		l, opened := open(Config{Dir: dir})
		if opened != nil {
			return
		}
		close(l.done)
		closeLog(t, l)
		if again, after := Verify(dir, verifier, Expect{}); err == nil && after != nil {
			t.Errorf("it was verified (%+v), and is not any more: %+v, %v", report, again, after)
		}
	})
}

// FuzzProof: what is proved is in the log.
func FuzzProof(f *testing.F) {
	dir := f.TempDir()
	write(f, dir, 2, 3)
	verifier := verifierOf(f, dir)
	records := make(map[int64]string)
	_ = Records(dir, 0, func(number int64, text []byte) bool {
		records[number] = string(text)
		return true
	})
	for number := range records {
		proof, err := Prove(dir, number, verifier)
		if err != nil {
			f.Fatal(err)
		}
		text, err := json.Marshal(proof)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var proof Proof
		if json.Unmarshal(text, &proof) == nil && proof.Check(verifier) == nil && records[proof.Number] != proof.Record {
			t.Errorf("proved: %q at %d", proof.Record, proof.Number)
		}
	})
}
