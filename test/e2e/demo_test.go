// Package e2e runs the built binaries as a newcomer does, with `demo`, and walks
// through them as browsers, apps and attackers do.
package e2e

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// bin is the folder of the binaries under test, built once.
var bin string

// artefacts is where screenshots are kept for a person to look at: test/artefacts, not in git.
var artefacts string

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M) (int, error) {
	root, err := filepath.Abs("../..")
	if err != nil {
		return 0, err
	}
	artefacts = filepath.Join(root, "test", "artefacts")
	dir, err := os.MkdirTemp("", "tollgate-e2e-")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	bin = filepath.Join(dir, "bin")
	// The same as make build, into a folder of its own beside a copy of the shipped Caddyfile.
	build := exec.Command("go", "build", "-o", bin+"/", "./cmd/tollgate", "./cmd/auth", "./cmd/users", "./cmd/payments", "./cmd/demo", "./examples/shop", "./examples/guide")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("building: %w\n%s", err, out)
	}
	caddyfile, err := os.ReadFile(filepath.Join(root, "Caddyfile"))
	if err != nil {
		return 0, err
	}
	if err := os.WriteFile(filepath.Join(dir, "Caddyfile"), caddyfile, 0o600); err != nil {
		return 0, err
	}
	code := m.Run()
	return code, stopShared(code != 0)
}

// manifest is what demo.json promises.
type manifest struct {
	BaseURL    string `json:"base_url"`
	Issuer     string `json:"issuer"`
	CACert     string `json:"ca_cert"`
	MetricsURL string `json:"metrics_url"`
	AdminURL   string `json:"admin_url"`
	ShopURL    string `json:"shop_url"`
	Users      []struct{ ID, Username, Password string }
	Clients    []client
}

type client struct {
	ClientID     string          `json:"client_id"`
	AuthMethod   string          `json:"auth_method"`
	ClientSecret string          `json:"client_secret"`
	JWK          json.RawMessage `json:"jwk"`
	Scopes       []string        `json:"scopes"`
	GrantTypes   []string        `json:"grant_types"`
	RedirectURIs []string        `json:"redirect_uris"`
}

// demo is a running demo.
type demo struct {
	manifest
	dir  string
	cmd  *exec.Cmd
	out  *output
	done chan error
	stop func() error // as Ctrl-C does; gives how the process ended
}

// output collects what a process prints.
type output struct {
	mu   sync.Mutex
	text strings.Builder
	line chan struct{} // gets a value for each line
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (o *output) follow(cmd *exec.Cmd) error {
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = cmd.Stdout
	go func() {
		for s := bufio.NewScanner(pipe); s.Scan(); {
			o.mu.Lock()
			o.text.WriteString(s.Text() + "\n")
			o.mu.Unlock()
			select {
			case o.line <- struct{}{}:
			default:
			}
		}
		close(o.line)
	}()
	return nil
}

// startDemo runs demo in a data folder and on a port of its own, until it says that it is ready.
func startDemo(t *testing.T, args ...string) *demo {
	t.Helper()
	return startDemoIn(t, t.TempDir(), args...)
}

func startDemoIn(t *testing.T, dir string, args ...string) *demo {
	t.Helper()
	d := launch(t, dir, args...)
	t.Cleanup(func() {
		if err := d.stop(); err != nil {
			t.Errorf("demo ended with %v:\n%s", err, d.out)
		}
		if t.Failed() {
			t.Log(d.logs())
		}
	})
	return d
}

// launch starts a demo and waits until it says that it is ready.
func launch(t *testing.T, dir string, args ...string) *demo {
	t.Helper()
	args = append([]string{"--data", dir, "--port", strconv.Itoa(freePort(t))}, args...)
	d := &demo{dir: dir, cmd: exec.Command(filepath.Join(bin, "demo"), args...), done: make(chan error, 1)}
	d.out = &output{line: make(chan struct{}, 1)}
	if err := d.out.follow(d.cmd); err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d.stop = sync.OnceValue(func() error {
		_ = d.cmd.Process.Signal(os.Interrupt) // it may have ended already
		for range d.out.line {
		}
		return d.cmd.Wait()
	})
	for !strings.Contains(d.out.String(), "Tollgate is ready.") {
		if _, more := <-d.out.line; !more {
			t.Fatalf("demo did not get ready:\n%s\n%s", d.out, d.logs())
		}
	}
	content, err := os.ReadFile(filepath.Join(dir, "demo.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, &d.manifest); err != nil {
		t.Fatal(err)
	}
	return d
}

// logs gives the end of each log: the folder goes with the test.
func (d *demo) logs() string {
	files, _ := filepath.Glob(filepath.Join(d.dir, "logs", "*.log")) // the pattern is well-formed
	var all strings.Builder
	for _, f := range files {
		content, _ := os.ReadFile(f) // one that cannot be read is as good as empty here
		fmt.Fprintf(&all, "--- %s\n%s\n", filepath.Base(f), content[max(0, len(content)-6000):])
	}
	return all.String()
}

// client gives a registered client of the demo.
func (d *demo) client(t *testing.T, id string) client {
	t.Helper()
	for _, c := range d.Clients {
		if c.ClientID == id {
			return c
		}
	}
	t.Fatalf("demo.json lacks the client %s", id)
	return client{}
}

// roots are the certificates that a client of this demo trusts.
func (d *demo) roots(t *testing.T) *x509.CertPool {
	t.Helper()
	pem, err := os.ReadFile(d.CACert)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatal("no certificate in ", d.CACert)
	}
	return pool
}

// http gives a client that trusts the demo's authority and follows no redirect.
func (d *demo) http(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: d.roots(t)}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport: transport, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// pid finds one of the demo's processes.
func (d *demo) pid(t *testing.T, name string) int {
	t.Helper()
	out, err := exec.Command("pgrep", "-P", strconv.Itoa(d.cmd.Process.Pid), "-x", name).Output()
	if err != nil {
		t.Fatalf("no process %s: %v", name, err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// shared gives the one demo that most tests use together. It is stopped by TestMain.
func shared(t *testing.T) *demo {
	t.Helper()
	sharedDemo.Do(func() {
		dir, err := os.MkdirTemp("", "tollgate-demo-")
		if err != nil {
			t.Fatal(err)
		}
		sharedDemo.d = launch(t, dir)
	})
	if sharedDemo.d == nil {
		t.Fatal("the shared demo did not start; see the first test that failed")
	}
	return sharedDemo.d
}

var sharedDemo struct {
	sync.Once
	d *demo
}

// stopShared ends the shared demo and says whether it ended well.
func stopShared(failed bool) error {
	d := sharedDemo.d
	if d == nil {
		return nil
	}
	defer func() { _ = os.RemoveAll(d.dir) }()
	if err := d.stop(); err != nil {
		return fmt.Errorf("demo ended with %w:\n%s", err, d.out)
	}
	if failed {
		fmt.Fprintln(os.Stderr, d.logs())
	}
	return nil
}
