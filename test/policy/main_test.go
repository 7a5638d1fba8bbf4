package policy

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"sync"
	"testing"
)

// built is the command, built once for all tests that run it, and for no others.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "tollgate")
	if err != nil {
		return "", err
	}
	builtIn = dir
	file := filepath.Join(dir, "tollgate")
	if out, err := exec.Command("go", "build", "-o", file, "../../cmd/tollgate").CombinedOutput(); err != nil {
		return "", errors.New(string(out))
	}
	return file, nil
})

var builtIn string // this folder; empty: nobody has asked for it

func TestMain(m *testing.M) {
	debug.SetGCPercent(400)                       // nothing lets go of a configuration that was provisioned: all of them would be gone through again and again
	_ = os.Setenv("OTEL_TRACES_EXPORTER", "none") // of tracing: nobody listens
	code := m.Run()
	if builtIn != "" {
		_ = os.RemoveAll(builtIn) // nothing else is there
	}
	os.Exit(code)
}
