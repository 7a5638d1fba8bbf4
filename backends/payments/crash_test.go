package payments

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/fault"
	"github.com/open-tollgate/tollgate/backends/internal/idempotency"
)

// program is the real command, built once with the fault points in it.
var program struct {
	sync.Once
	dir  string
	path string
	out  []byte
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if program.dir != "" {
		_ = os.RemoveAll(program.dir) // it is in the system's temporary folder at worst
	}
	os.Exit(code)
}

func buildProgram(t testing.TB) string {
	t.Helper()
	program.Do(func() {
		if program.dir, program.err = os.MkdirTemp("", "tollgate-payments-"); program.err != nil {
			return
		}
		program.path = filepath.Join(program.dir, "payments")
		program.out, program.err = goBuild(program.path)
	})
	if program.err != nil {
		t.Fatalf("%v\n%s", program.err, program.out)
	}
	return program.path
}

// goBuild builds the command with its fault points.
func goBuild(path string, flags ...string) (out []byte, err error) {
	args := append([]string{"build", "-tags", "fault", "-o", path}, flags...)
	return exec.Command("go", append(args, "github.com/open-tollgate/tollgate/cmd/payments")...).CombinedOutput()
}

// process is a running "payments serve".
type process struct {
	t      testing.TB
	url    string
	cmd    *exec.Cmd
	ended  chan struct{}
	client *http.Client
}

// serve starts the command on the platform's database. It dies at the fault
// point; an empty one is none.
func (p *platform) serve(keysURL, keyFile, point string) *process {
	p.t.Helper()
	return p.serveProgram(buildProgram(p.t), keysURL, keyFile, point)
}

func (p *platform) serveProgram(program, keysURL, keyFile, point string) *process {
	p.t.Helper()
	cmd := exec.Command(program, "serve", "--listen", "127.0.0.1:0", "--database", p.dsn, "--issuer", origin,
		"--jwks-url", keysURL, "--secret-file", keyFile, "--webhook-allow-private")
	cmd.Env = append(os.Environ(), "TOLLGATE_FAULT="+point)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	proc := &process{t: p.t, cmd: cmd, ended: make(chan struct{}), client: &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second}}
	listening := make(chan string, 1)
	var log strings.Builder
	go func() {
		defer close(proc.ended)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			log.WriteString(lines.Text() + "\n")
			var line struct{ Msg, Addr string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "listening" {
				listening <- line.Addr
			}
		}
		_ = cmd.Wait() // how it ended is what the test looks at
	}()
	p.t.Cleanup(proc.kill)
	select {
	case addr := <-listening:
		proc.url = "http://" + addr
	case <-proc.ended:
		if point == "" { // at a fault point it may die as soon as it runs
			p.t.Fatalf("it ended at once: %v\n%s", cmd.ProcessState, log.String())
		}
	}
	return proc
}

func (proc *process) kill() {
	_ = proc.cmd.Process.Kill() // it may have ended by itself
	<-proc.ended
}

// diedBySignal waits for the end and says whether it was kill -9.
func (proc *process) diedBySignal() bool {
	<-proc.ended
	status, ok := proc.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// post makes a call over the network.
func (proc *process) post(q request) (status int, header http.Header, body []byte, err error) {
	var text io.Reader = http.NoBody
	if q.body != nil {
		content, err := json.Marshal(q.body)
		if err != nil {
			return 0, nil, nil, err
		}
		text = bytes.NewReader(content)
	}
	req, err := http.NewRequest(http.MethodPost, proc.url+q.path, text)
	if err != nil {
		return 0, nil, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	for name, value := range q.header {
		req.Header.Set(name, value)
	}
	req.Header.Set("Authorization", "Bearer "+q.token)
	req.Header.Set(idempotency.Header, q.key)
	resp, err := proc.client.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, body, err
}

// Killed in the middle of a confirm, before or after the commit: confirming again
// with the same key pays exactly once.
func TestKilledInTheMiddleOfAConfirm(t *testing.T) {
	t.Parallel()
	for point, replayed := range map[string]string{fault.BeforeCommit: "", fault.AfterCommit: "true"} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			forEach(t, func(p *platform) {
				keys := httptest.NewServer(p.issuer.Handler())
				defer keys.Close()
				keyFile := filepath.Join(t.TempDir(), "key")
				q := p.confirmation(p.create(12350))

				doomed := p.serve(keys.URL, keyFile, point)
				if status, _, body, err := doomed.post(q); err == nil {
					t.Fatalf("it answered: %d %s", status, body)
				}
				if !doomed.diedBySignal() {
					t.Fatalf("it ended otherwise: %v", doomed.cmd.ProcessState)
				}

				next := p.serve(keys.URL, keyFile, "")
				status, header, body, err := next.post(q)
				if err != nil || status != 200 || header.Get(idempotency.ReplayedHeader) != replayed {
					t.Fatalf("got %d %v %s, %v", status, header, body, err)
				}
				var v paymentView
				if err := json.Unmarshal(body, &v); err != nil || v.Status != Succeeded {
					t.Fatalf("got %s, %v", body, err)
				}
				if p.available(p.wallet) != 100_000-12350 || p.available(p.merchant) != 12350 {
					t.Errorf("the wallet has %d, the merchant %d", p.available(p.wallet), p.available(p.merchant))
				}
				if n := p.count(`SELECT count(*) FROM events`); n != 1 {
					t.Errorf("%d events", n)
				}
				p.booksAreRight()
			})
		})
	}
}

// Killed after the endpoint took a webhook and before that was noted: it comes
// once more, under the same id.
func TestKilledInTheMiddleOfAWebhook(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		keys := httptest.NewServer(p.issuer.Handler())
		defer keys.Close()
		ids := make(chan string, 2)
		shop := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { ids <- r.Header.Get("webhook-id") }))
		defer shop.Close()
		keyFile := filepath.Join(t.TempDir(), "key")
		storageArgs := []string{"--database", p.dsn, "--secret-file", keyFile}
		if out, code := p.run(append([]string{"webhook", "add", "--client", "shop", "--url", shop.URL}, storageArgs...)...); code != 0 {
			t.Fatalf("%d %s", code, out)
		}
		p.call(p.confirmation(p.create(100))).expect(200, "")

		doomed := p.serve(keys.URL, keyFile, fault.AfterSend)
		first := <-ids
		if !doomed.diedBySignal() {
			t.Fatalf("it ended otherwise: %v", doomed.cmd.ProcessState)
		}
		// The lease of the dead worker would run out by itself; the test does not wait for it.
		if _, err := p.db.Exec(`UPDATE webhook_deliveries SET due_at = 0 WHERE state = 'pending' AND attempts = 1`); err != nil {
			t.Fatal(err)
		}
		p.serve(keys.URL, keyFile, "")
		if second := <-ids; second != first {
			t.Errorf("the id changed from %s to %s", first, second)
		}
	})
}

// run runs the command to its end.
func (p *platform) run(args ...string) (out string, code int) {
	p.t.Helper()
	cmd := exec.Command(buildProgram(p.t), args...)
	text, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

func TestCommands(t *testing.T) {
	t.Parallel()
	forEach(t, func(p *platform) {
		store := []string{"--database", p.dsn, "--secret-file", filepath.Join(t.TempDir(), "key")}
		run := func(want int, args ...string) string {
			t.Helper()
			out, code := p.run(append(args, store...)...)
			if code != want {
				t.Fatalf("%v: exit %d, want %d\n%s", args, code, want, out)
			}
			return out
		}
		open := []string{"account", "open", "--owner", "ben", "--name", "Everyday", "--currency", "EUR", "--deposit", "500"}
		if first, again := run(0, open...), run(0, open...); first != again || !strings.Contains(first, `"owner": "ben"`) {
			t.Errorf("got %s, then %s", first, again)
		}
		if n := p.count(`SELECT count(*) FROM transfers WHERE amount = 500`); n != 1 {
			t.Errorf("%d deposits", n)
		}
		run(1, "account", "open", "--owner", "ben", "--name", "Everyday", "--currency", "USD")
		run(1, "account", "open", "--owner", "ben", "--name", "Other", "--currency", "EUR", "--deposit", "1.5")
		if out := run(1, "account", "open", "--owner", "ben", "--name", "Other", "--currency", "ABC"); !strings.Contains(out, "/currency") {
			t.Errorf("got %s", out)
		}

		merchant := run(0, "merchant", "add", "--client", "shop", "--name", "Corner Shop & Sons", "--currency", "EUR")
		if !strings.Contains(merchant, p.merchant.ID) || !strings.Contains(merchant, "Corner Shop & Sons") {
			t.Errorf("got %s", merchant)
		}
		if v := p.create(1); v.Creditor.Name != "Corner Shop & Sons" {
			t.Errorf("payers are shown %q", v.Creditor.Name)
		}

		hook := []string{"webhook", "add", "--client", "shop", "--url", "https://shop.example/hooks"}
		if out := run(0, hook...); !strings.Contains(out, `"secret": "whsec_`) {
			t.Errorf("got %s", out)
		}
		run(1, hook...)
		run(0, append(hook, "--replace")...)
		run(1, "webhook", "add", "--client", "shop", "--url", "http://shop.example/")

		run(0, "ledger", "verify")
		if _, err := p.db.Exec(`UPDATE accounts SET credits_posted = credits_posted + 1 WHERE id = $1`, p.wallet.ID); err != nil {
			t.Fatal(err)
		}
		if out := run(exitViolation, "ledger", "verify"); !strings.Contains(out, p.wallet.ID) {
			t.Errorf("got %s", out)
		}
		if out := run(0, "ledger", "rebuild"); !strings.Contains(out, `"corrected": 1`) {
			t.Errorf("got %s", out)
		}
		run(0, "ledger", "verify")
		run(1, "ledger", "burn")
		run(1, "ledger", "verify", "now")
		if out := run(0, "--help"); !strings.Contains(out, "PAYMENTS_DATABASE") {
			t.Errorf("got %s", out)
		}
	})
}

func TestHelpDoesNotShowTheEnvironment(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(buildProgram(t), "ledger", "verify", "--help")
	cmd.Env = append(os.Environ(), "PAYMENTS_DATABASE=postgres://user:hunter2@db/payments")
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Contains(string(out), "hunter2") || !strings.Contains(string(out), "PAYMENTS_DATABASE") {
		t.Errorf("%v\n%s", err, fmt.Sprintf("%.500s", out))
	}
}
