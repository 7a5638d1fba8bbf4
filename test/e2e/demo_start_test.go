package e2e

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestDemoThatDoesNotStart: what is wrong is the last line, a mistake in the flags is no
// success, and a start that is refused leaves nothing behind.
func TestDemoThatDoesNotStart(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	data := filepath.Join(t.TempDir(), "data")
	port := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--prt", "1"}, 2, "flag provided but not defined: -prt; see demo --help"},
		{[]string{"--port", "abc"}, 2, `invalid value "abc" for flag -port`},
		{[]string{"--port"}, 2, "flag needs an argument: -port"},
		{[]string{"--port", "0"}, 2, "--port 0 is not a port"},
		{[]string{"here"}, 2, `unexpected argument "here"`},
		{[]string{"--redis", "http://user:s3cret@h"}, 2, "--redis must be a URL"},
		{[]string{"--port", port}, 1, "port " + port + " is taken"},
		{[]string{"--help"}, 0, "default 8443"},
	} {
		out, err := exec.Command(filepath.Join(bin, "demo"), append([]string{"--data", data}, c.args...)...).CombinedOutput()
		code := 0
		if ended, ok := errors.AsType[*exec.ExitError](err); ok {
			code = ended.ExitCode()
		}
		said := strings.TrimSpace(string(out))
		if c.code > 0 {
			said = said[strings.LastIndex(said, "\n")+1:]
		}
		if code != c.code || !strings.Contains(said, c.want) || strings.Contains(string(out), "s3cret") {
			t.Errorf("demo %q ends with %d, want %d with %q last: %s", c.args, code, c.code, c.want, out)
		}
	}
	if _, err := os.Stat(data); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder is left: %v", err)
	}
}

// TestTheDemosEnvironment has the shell speak of this demo's edge, which is on ports of its
// own: reload reaches it, and finds that it runs what the file says.
func TestTheDemosEnvironment(t *testing.T) {
	t.Parallel()
	d := shared(t)
	reload := exec.Command("sh", "-c", `. "$0/edge.env" && exec "$1/tollgate" reload --config "$2" --adapter caddyfile`, d.dir, bin, filepath.Join(filepath.Dir(bin), "Caddyfile"))
	out, err := reload.CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
	info, err := os.Stat(filepath.Join(d.dir, "edge.env"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v: mode %v", err, info)
	}
}
