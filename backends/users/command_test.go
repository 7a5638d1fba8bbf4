package users

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

// runCommand runs a command line and gives what it prints.
func runCommand(t *testing.T, stdin string, args ...string) (out string, err error) {
	t.Helper()
	var printed bytes.Buffer
	err = Command(t.Context(), args, Streams{In: strings.NewReader(stdin), Out: &printed, Err: io.Discard})
	return printed.String(), err
}

func TestAdd(t *testing.T) {
	t.Parallel()
	fresh.ForEach(t, func(t *testing.T, dsn string) {
		h := newHarness(t, dsn)
		args := []string{"add", "--database", dsn, "--secret-file", h.keyFile, "--username", "Alice", "--name", "Alice Archer", "--email", "alice@example.com"}
		out, err := runCommand(t, testPassword+"\n", append(args, "--password-file", "-")...)
		if err != nil {
			t.Fatal(err)
		}
		var first, second struct{ ID, Username string }
		if err := json.Unmarshal([]byte(out), &first); err != nil || first.ID == "" || first.Username != "alice" {
			t.Fatalf("%s %v", out, err)
		}
		if got := h.check("alice", testPassword); got.Result != resultOK || got.User.ID != first.ID {
			t.Errorf("%+v", got)
		}
		if _, err := runCommand(t, testPassword, append(args, "--password-file", "-")...); err == nil || !strings.Contains(err.Error(), "--replace") {
			t.Errorf("a second time: %v", err)
		}
		for range freeFailures {
			h.check("alice", "wrong")
		}
		file := filepath.Join(t.TempDir(), "password")
		if err := os.WriteFile(file, []byte("another password\r\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err = runCommand(t, "", append(args, "--replace", "--name", "Alice Baker", "--password-file", file)...)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(out), &second); err != nil || second != first {
			t.Errorf("%s %v: the id has to stay", out, err)
		}
		if got := h.check("alice", "another password"); got.Result != resultOK || got.User.Name != "Alice Baker" {
			t.Errorf("%+v", got)
		}
	})
}

func TestCommandSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	good := []string{"add", "--database", filepath.Join(t.TempDir(), "users.db"), "--username", "a", "--name", "A", "--email", "a@example.com", "--password-file", "-"}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"nothing":         {nil, "serve, add, key add or key rotate"},
		"unknown":         {[]string{"frobnicate"}, `"frobnicate"`},
		"left over":       {append(good, "more"), `"more"`},
		"no username":     {append(good, "--username", ""), "--username"},
		"bad username":    {append(good, "--username", "a b"), "--username"},
		"bad address":     {append(good, "--email", "x"), "--email"},
		"no name":         {append(good, "--name", ""), "--name"},
		"no password":     {append(good, "--password-file", ""), "--password-file is missing"},
		"missing file":    {append(good, "--password-file", "/nonexistent/file"), "--password-file"},
		"no database":     {append(good, "--database", "/nonexistent/users.db"), "database"},
		"bad issuer":      {[]string{"serve", "--issuer", "not a url", "--database", filepath.Join(t.TempDir(), "u.db")}, "token check"},
		"taken port":      {[]string{"serve", "--listen", "256.0.0.1:1", "--database", filepath.Join(t.TempDir(), "u.db")}, "users"},
		"serve left over": {[]string{"serve", "now"}, `"now"`},
	} {
		if _, err := runCommand(t, testPassword, c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := runCommand(t, "short", good...); err == nil || !strings.Contains(err.Error(), "--password-file must have") {
		t.Errorf("short password: %v", err)
	}
	if out, err := runCommand(t, "", "--help"); !errors.Is(err, flag.ErrHelp) || !strings.Contains(out, "users serve") {
		t.Errorf("%s %v", out, err)
	}
}

func TestFlagsTakeTheEnvironment(t *testing.T) {
	t.Setenv("USERS_DATABASE", "postgres://user:hunter2@127.0.0.1:1/none")
	var help bytes.Buffer
	err := Command(t.Context(), []string{"serve", "--help"}, Streams{Err: &help})
	if !errors.Is(err, flag.ErrHelp) || !strings.Contains(help.String(), "USERS_JWKS_URL") || strings.Contains(help.String(), "hunter2") {
		t.Errorf("%v: %s", err, help.String())
	}
	if _, err := runCommand(t, "", "serve", "--secret-file", filepath.Join(t.TempDir(), "key")); err == nil || !strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("USERS_DATABASE is not used: %v", err)
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	issuer := tokentest.NewIssuer(t, testIssuer)
	keys := httptest.NewServer(issuer.Handler())
	t.Cleanup(keys.Close)
	ctx, cancel := context.WithCancel(t.Context())
	logs := &logBuffer{}
	done := make(chan error, 1)
	go func() {
		done <- Command(ctx, []string{
			"serve", "--listen", "127.0.0.1:0", "--database", filepath.Join(t.TempDir(), "users.db"),
			"--issuer", testIssuer, "--jwks-url", keys.URL,
		}, Streams{Out: io.Discard, Err: logs})
	}()
	base := "http://" + listening(t, logs, done)
	eventually(t, func() bool {
		resp, err := http.Get(base + "/readyz")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusNoContent
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/api/users", strings.NewReader(body(t)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+issuer.Token(tokentest.Claim("scope", "users:create")))
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		t.Errorf("status %d", resp.StatusCode)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// listening waits for the address in the log.
func listening(t *testing.T, logs *logBuffer, done <-chan error) (addr string) {
	t.Helper()
	eventually(t, func() bool {
		select {
		case err := <-done:
			t.Fatalf("ended early: %v", err)
		default:
		}
		for line := range strings.Lines(logs.String()) {
			var entry struct{ Msg, Addr string }
			if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "listening" {
				addr = entry.Addr
			}
		}
		return addr != ""
	})
	return addr
}

func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not within 10 s")
		}
	}
}
