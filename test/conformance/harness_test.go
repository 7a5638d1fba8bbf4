// Package conformance holds the built edge to what it promises: it runs the real
// binary, mostly with the shipped Caddyfile, against services that count what
// reaches them.
package conformance

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary is the edge, built once for all tests.
var binary string

// root is the repository.
var root string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "conformance")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if root, err = filepath.Abs("../.."); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	binary = filepath.Join(dir, "tollgate")
	build := exec.Command("go", "build", "-o", binary, "./cmd/tollgate")
	build.Dir = root
	if output, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the edge: %v\n%s", err, output)
		return 1
	}
	code := m.Run()
	if *table {
		printTable(os.Stdout)
	}
	return code
}

// stopTime is what the edge may take to stop: the grace_period of the shipped
// Caddyfile, and something for a busy machine. A connection whose handshake was under
// way when the edge was told to stop can hold it up for the whole of that period:
// net/http tells only those that it knows by then.
const stopTime = 45 * time.Second

// edge is a running edge.
type edge struct {
	t      *testing.T
	admin  string // host:port
	config string
	env    []string
	log    *buffer
	ended  chan error // gives how it ended; who reads puts it back
	*os.Process
}

// buffer collects what a process writes while others read it.
type buffer struct {
	mu   sync.Mutex
	data bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.String()
}

// startEdge runs the binary with a Caddyfile and waits until it has loaded it. env
// has to set TOLLGATE_ADMIN, which the Caddyfile has to use.
func startEdge(t *testing.T, config string, env ...string) *edge {
	t.Helper()
	data := t.TempDir()
	e := &edge{t: t, config: config, log: new(buffer)}
	e.env = append(os.Environ(), append(env, "XDG_DATA_HOME="+data, "XDG_CONFIG_HOME="+data)...)
	for _, setting := range env {
		if admin, ok := strings.CutPrefix(setting, "TOLLGATE_ADMIN="); ok {
			e.admin = admin
		}
	}
	command := exec.Command(binary, "run", "--config", config, "--adapter", "caddyfile")
	command.Env, command.Stdout, command.Stderr = e.env, e.log, e.log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	e.Process, e.ended = command.Process, ended
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(stopTime):
			_ = command.Process.Signal(syscall.SIGQUIT) // makes it say what it waits for
			<-ended
			t.Errorf("the edge does not stop:\n%s", e.log)
		}
	})
	waitFor(t, "the edge to start", func() bool {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("the edge ended: %v\n%s", err, e.log)
		default:
		}
		return strings.Contains(e.log.String(), "serving initial configuration")
	})
	return e
}

// reload applies the Caddyfile to the running edge, also if nothing has changed, with
// other settings in the environment.
func (e *edge) reload(env ...string) {
	e.t.Helper()
	command := exec.Command(binary, "reload", "--force", "--config", e.config, "--adapter", "caddyfile", "--address", e.admin)
	command.Env = append(e.env, env...)
	if output, err := command.CombinedOutput(); err != nil {
		e.t.Fatalf("reload: %v\n%s", err, output)
	}
}

// metrics gives what Prometheus would scrape.
func (e *edge) metrics() string {
	e.t.Helper()
	return string(e.get("/metrics"))
}

// metric gives the value of one series, written as Prometheus does; "0" when absent.
func (e *edge) metric(series string) string {
	e.t.Helper()
	for line := range strings.Lines(e.metrics()) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return "0"
}

func (e *edge) get(path string) []byte {
	e.t.Helper()
	answer, err := http.Get("http://" + e.admin + path)
	if err != nil {
		e.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		e.t.Fatalf("%s: %s %v", path, answer.Status, err)
	}
	return body
}

// freeAddress gives a loopback address that nothing listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// writeConfig puts a configuration into a folder of its own.
func writeConfig(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
