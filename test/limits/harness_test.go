// Package limits holds the limiter to what it promises, from outside: several edge
// processes, one real Redis, load over HTTP, and a backend that writes down what it
// gets. It judges other limiters by the same measure.
//
// The tests are the CI-sized version. `make limits` is the full one.
package limits

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

var (
	length    = flag.Duration("length", 4*time.Second, "how long each limiter is under load")
	baselines = flag.Bool("baselines", false, "measure other limiters as well")
)

var (
	binary   string // the edge
	baseline string // the other limiters
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(build(m))
}

func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "limits")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary, baseline = filepath.Join(dir, "tollgate"), filepath.Join(dir, "baseline")
	builds := []struct{ dir, out, pkg string }{{"../..", binary, "./cmd/tollgate"}}
	if *baselines {
		builds = append(builds, struct{ dir, out, pkg string }{"../bench/baselines", baseline, "."})
	}
	for _, b := range builds {
		command := exec.Command("go", "build", "-o", b.out, b.pkg)
		command.Dir = b.dir
		if output, err := command.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "building %s: %v\n%s", b.pkg, err, output)
			return 1
		}
	}
	return m.Run()
}

// process is a program under test.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	log   *buffer
	ended chan struct{}
}

// buffer collects what a process writes while others read it.
type buffer struct {
	mu   sync.Mutex
	data bytes.Buffer
}

// Write implements io.Writer.
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

// start runs a program until the test ends.
func start(t *testing.T, env []string, program string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(program, args...), log: new(buffer), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is in its log
		close(p.ended)
	}()
	t.Cleanup(p.stop)
	return p
}

// stop ends the program, and is done when it is gone.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.ended
		p.t.Errorf("%s does not stop", filepath.Base(p.cmd.Path))
	}
}

// await waits until the address answers HTTP.
func (p *process) await(url string) {
	p.t.Helper()
	waitFor(p.t, url, func() bool {
		select {
		case <-p.ended:
			p.t.Fatalf("%s ended:\n%s", filepath.Base(p.cmd.Path), p.log)
		default:
		}
		res, err := http.Get(url)
		if err != nil {
			return false
		}
		return errors.Is(res.Body.Close(), nil)
	})
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
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
