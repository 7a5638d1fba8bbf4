package auditlog

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAFolderWithoutALog: a folder with nothing of a log is no log that was altered, and one with anything left of it
// is. Neither verifies, whatever else is asked.
func TestAFolderWithoutALog(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "audit")
	l, err := Open(Config{Dir: dir, Origin: "edge.test/audit"})
	if err != nil {
		t.Fatal(err)
	}
	l.Append(Record{Kind: KindDecision})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	verifier, err := ReadPublicKey(filepath.Join(dir, publicKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	whole, err := Verify(dir, verifier, Expect{})
	if err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) < 8 {
		t.Fatal(err, files)
	}

	empty, another := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(another, "edge.log"), []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	left := map[string]string{empty: "", another: ""}
	for _, file := range files {
		if strings.HasSuffix(file.Name(), recordsSuffix) {
			continue // alone it is missing the others, which is said of each
		}
		alone := t.TempDir()
		if err := os.WriteFile(filepath.Join(alone, file.Name()), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		left[alone] = file.Name()
	}
	for folder, name := range left {
		for _, expect := range []Expect{{}, {Live: true}, {Kept: [][]byte{whole.Message}}} {
			_, err := Verify(folder, verifier, expect)
			fault, isFault := errors.AsType[*Fault](err)
			switch {
			case name == "" && (isFault || !errors.Is(err, ErrNoLog) || !strings.Contains(err.Error(), "Is it the right folder?")):
				t.Errorf("nothing of a log: %v", err)
			case name != "" && (!isFault || !strings.Contains(fault.What, strings.SplitN(name, ".", 2)[0])):
				t.Errorf("%s alone: %v", name, err)
			}
		}
	}
}
