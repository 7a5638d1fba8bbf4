package policy

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/open-tollgate/tollgate/internal/auditlog"
)

// TestWhatCannotBeTold: a log that is as it was signed, and a proof that holds, do not end with
// the exit code of those that are not because the disk behind the output is full.
func TestWhatCannotBeTold(t *testing.T) {
	t.Parallel()
	tollgate, err := built()
	if err != nil {
		t.Fatal(err)
	}
	dir, l := auditLog(t)
	l.Append(auditlog.Record{Kind: auditlog.KindDecision, RequestID: "request-1"})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(dir, "public.key")
	verifier, err := auditlog.ReadPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := auditlog.Prove(dir, 0, verifier)
	if err != nil {
		t.Fatal(err)
	}
	content, err := json.Marshal(proof)
	if err != nil {
		t.Fatal(err)
	}
	proved := filepath.Join(t.TempDir(), "proof.json")
	if err := os.WriteFile(proved, content, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"verify", dir, "--key", key}, {"verify", dir, "--key", key, "--checkpoint"}, {"check", proved, "--key", key}} {
		args = append([]string{"audit"}, args...)
		if out, code := runCommand(t, tollgate, args...); code != 0 {
			t.Errorf("%v: %d\n%s", args, code, out)
		}
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(tollgate, args...)
		cmd.Stdout = full
		exit, _ := errors.AsType[*exec.ExitError](cmd.Run())
		if exit == nil || exit.ExitCode() != 2 {
			t.Errorf("%v, with a full disk: %v", args, exit)
		}
		_ = full.Close()
	}
}

// auditLog is a new one, and its folder. Whoever wants it closes it.
func auditLog(t *testing.T) (dir string, l *auditlog.Log) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "audit")
	l, err := auditlog.Open(auditlog.Config{Dir: dir, Origin: "edge.test/audit"})
	if err != nil {
		t.Fatal(err)
	}
	return dir, l
}
