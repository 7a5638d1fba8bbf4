package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/databasetest"
)

// operator runs commands on one database.
type operator struct {
	t     *testing.T
	state []string
	dir   string
}

func newOperator(t *testing.T) operator {
	dir := t.TempDir()
	return operator{t, []string{"--database", filepath.Join(dir, "auth.db"), "--secret-file", filepath.Join(dir, "auth.key")}, dir}
}

func (o operator) run(args ...string) (out, errOut string, err error) {
	o.t.Helper()
	var stdout, stderr bytes.Buffer
	err = Run(o.t.Context(), append(args, o.state...), Streams{Out: &stdout, Err: &stderr})
	return stdout.String(), stderr.String(), err
}

func (o operator) printed(into any, args ...string) {
	o.t.Helper()
	out, errOut, err := o.run(args...)
	if err != nil {
		o.t.Fatalf("%v: %v %s", args, err, errOut)
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		o.t.Fatalf("%v: %v: %s", args, err, out)
	}
}

func TestClientCommands(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	add := []string{"client", "add", "--kind", "standard", "--id", "shop", "--name", "Corner Shop", "--redirect-uri", "http://localhost:8090/callback",
		"--grant", "authorization_code,client_credentials", "--scope", "payments:create", "--scope", "payments:confirm"}
	var first, second map[string]any
	o.printed(&first, add...)
	if first["client_id"] != "shop" || first["auth_method"] != "client_secret_basic" || len(first["client_secret"].(string)) < 40 {
		t.Errorf("printed %v", first)
	}
	if _, _, err := o.run(add...); err == nil || !strings.Contains(err.Error(), "registered already") {
		t.Errorf("added twice: %v", err)
	}
	o.printed(&second, append(add, "--replace")...)
	if second["client_secret"] == first["client_secret"] {
		t.Error("the secret is the old one")
	}

	var fapi map[string]any
	o.printed(&fapi, "client", "add", "--id", "finance", "--name", "Finance", "--kind", "fapi2", "--generate-key",
		"--grant", "client_credentials", "--scope", "payments:create")
	jwk, _ := fapi["jwk"].(map[string]any)
	if fapi["auth_method"] != "private_key_jwt" || jwk["d"] == nil || fapi["client_secret"] != nil {
		t.Errorf("printed %v", fapi)
	}
	delete(jwk, "d")
	keys, err := json.Marshal(map[string]any{"keys": []any{jwk}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(o.dir, "keys.json")
	if err := os.WriteFile(file, keys, 0o600); err != nil {
		t.Fatal(err)
	}
	var own map[string]any
	o.printed(&own, "client", "add", "--id", "own", "--name", "Own", "--kind", "fapi2", "--jwks", file,
		"--grant", "client_credentials", "--scope", "payments:create")
	if own["jwk"] != nil {
		t.Errorf("printed %v", own)
	}

	var list []map[string]any
	o.printed(&list, "client", "list")
	if len(list) != 3 || list[2]["client_id"] != "shop" || list[2]["client_secret"] != nil {
		t.Errorf("listed %v", list)
	}
	var rotation map[string]any
	o.printed(&rotation, "keys", "rotate", "--activate-in", "1h")
	if rotation["kid"] == "" || rotation["active_from"] == nil {
		t.Errorf("printed %v", rotation)
	}
}

// A forgotten --kind must not turn a client that has to prove its key into one
// with a secret, and neither must a wrong one.
func TestReplacingKeepsTheKind(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	add := func(more ...string) []string {
		return append([]string{"client", "add", "--id", "finance", "--name", "Finance", "--grant", "client_credentials",
			"--scope", "payments:create"}, more...)
	}
	var got map[string]any
	o.printed(&got, add("--kind", "fapi2", "--generate-key")...)
	for name, args := range map[string][]string{
		"no kind": add("--replace"), "another kind": add("--replace", "--kind", "standard"),
		"change-kind alone": add("--kind", "standard", "--change-kind"),
	} {
		if _, _, err := o.run(args...); err == nil || !strings.Contains(err.Error(), "kind") {
			t.Errorf("%s: %v", name, err)
		}
	}
	var list []map[string]any
	o.printed(&list, "client", "list")
	if len(list) != 1 || list[0]["kind"] != "fapi2" {
		t.Errorf("listed %v", list)
	}
	o.printed(&got, add("--replace", "--kind", "fapi2", "--generate-key")...)
	o.printed(&got, add("--replace", "--change-kind", "--kind", "standard")...)
	if got["kind"] != "standard" || got["client_secret"] == nil {
		t.Errorf("printed %v", got)
	}
}

func TestBadCommandLines(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	for name, c := range map[string]struct {
		args  []string
		wants string
	}{
		"internal scope":  {[]string{"client", "add", "--kind", "standard", "--id", "x", "--name", "X", "--grant", "client_credentials", "--scope", "internal:users"}, "internal:users"},
		"no kind":         {[]string{"client", "add", "--id", "x", "--name", "X", "--grant", "client_credentials", "--scope", "payments:create"}, "kind:"},
		"no such file":    {[]string{"client", "add", "--id", "x", "--name", "X", "--kind", "fapi2", "--jwks", "/nowhere.json"}, "nowhere.json"},
		"no such grant":   {[]string{"grant", "revoke", "--id", "nobody's"}, "nobody's"},
		"no grant":        {[]string{"grant", "revoke"}, "id: missing"},
		"key of the past": {[]string{"keys", "rotate", "--activate-in", "-1h"}, "activate-in"},
		"bad issuer":      {[]string{"serve", "--issuer", "https://a.example/b"}, "issuer"},
		"no lifetime":     {[]string{"serve", "--access-token-lifetime", "0s"}, "access-token-lifetime"},
		"long lifetime":   {[]string{"serve", "--access-token-lifetime", "61m"}, "access-token-lifetime"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := o.run(c.args...)
			if err == nil || !strings.Contains(err.Error(), c.wants) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with %q", err, c.wants)
			}
		})
	}
	for _, args := range [][]string{{"bogus"}, {"client"}, {"client", "add", "--bogus"}, {"client", "list", "more"},
		{"serve", "--access-token-lifetime", "soon"}} {
		if _, errOut, err := o.run(args...); !errors.Is(err, ErrUsage) || errOut == "" {
			t.Errorf("%v: %v %q", args, err, errOut)
		}
	}
}

// What is missing is said before anything is dialled or made.
func TestPostgresNeedsToBeToldTheKeyFile(t *testing.T) {
	t.Parallel()
	dsn := "postgres://auth:hunter2@127.0.0.1:1/none" // nothing listens there
	key := filepath.Join(t.TempDir(), "auth.key")
	for _, command := range []string{
		"serve", "client list", "keys rotate", "grant revoke --id x", "client add --id x --name X --grant client_credentials --scope payments:create",
	} {
		args := append(strings.Fields(command), "--database", dsn)
		err := Run(t.Context(), args, Streams{Out: io.Discard, Err: io.Discard})
		if err == nil || !strings.HasPrefix(err.Error(), "--secret-file (AUTH_SECRET_FILE) is missing") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", command, err)
		}
		err = Run(t.Context(), append(args, "--secret-file", key), Streams{Out: io.Discard, Err: io.Discard})
		if err == nil || !strings.Contains(err.Error(), "127.0.0.1") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s with a key file: %v", command, err)
		}
	}
}

func TestKeyFile(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ dsn, flag, want string }{
		{"auth.db", "", "auth.key"},
		{"/var/lib/tollgate/a.db", "", "/var/lib/tollgate/a.key"},
		{"sqlite:/var/lib/a.db", "", "/var/lib/a.key"},
		{"tokens", "", "tokens.key"},
		{"auth.db", "/etc/k", "/etc/k"},
		{"postgres://h/d", "/etc/k", "/etc/k"},
		{"postgres://h/d", "", ""},
		{"postgresql://h/d", "", ""},
	} {
		got, err := state{database: &c.dsn, secretFile: &c.flag}.keyFile()
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q, %q: got %q, %v", c.dsn, c.flag, got, err)
		}
	}
}

// A command with the wrong key file says so, and leaves nothing behind: neither a
// client that nobody can be, nor a key file that hides what is missing.
func TestAnotherKeyFileIsRefused(t *testing.T) {
	t.Parallel()
	databasetest.ForEach(t, func(t *testing.T, dsn string) {
		dir := t.TempDir()
		run := func(key string, args ...string) (string, error) {
			var out bytes.Buffer
			args = append(args, "--database", dsn, "--secret-file", filepath.Join(dir, key))
			err := Run(t.Context(), args, Streams{Out: &out, Err: io.Discard})
			return out.String(), err
		}
		add := []string{"client", "add", "--id", "x", "--name", "X", "--kind", "standard", "--grant", "client_credentials", "--scope", "payments:create"}
		if _, err := run("auth.key", "client", "list"); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "other.key"), make([]byte, 32), 0o600); err != nil {
			t.Fatal(err)
		}
		for key, wants := range map[string]string{"missing.key": "missing.key", "other.key": "another master key"} {
			for _, args := range [][]string{add, {"client", "list"}, {"keys", "rotate"}, {"serve", "--listen", "127.0.0.1:0"}} {
				if _, err := run(key, args...); err == nil || !strings.Contains(err.Error(), wants) {
					t.Errorf("%v with %s: %v", args, key, err)
				}
			}
		}
		if _, err := os.Stat(filepath.Join(dir, "missing.key")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a key file was made: %v", err)
		}
		if list, err := run("auth.key", "client", "list"); err != nil || strings.Contains(list, `"x"`) {
			t.Errorf("a client was registered: %s %v", list, err)
		}
	})
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for name := range commands {
		var stderr bytes.Buffer
		err := Run(t.Context(), append(strings.Fields(name), "--help"), Streams{Out: &stderr, Err: &stderr})
		if !errors.Is(err, flag.ErrHelp) || !strings.Contains(stderr.String(), "-database") {
			t.Errorf("%s: %v %s", name, err, stderr.String())
		}
	}
	var out bytes.Buffer
	if err := Run(t.Context(), []string{"--help"}, Streams{Out: &out, Err: &out}); err != nil || !strings.Contains(out.String(), "client add") {
		t.Errorf("%v %s", err, out.String())
	}
}

// The environment may hold a DSN with a password; help is pasted into tickets.
func TestHelpKeepsTheEnvironmentToItself(t *testing.T) {
	t.Setenv("AUTH_DATABASE", "postgres://auth:dsn-canary@db.internal/tollgate")
	t.Setenv("AUTH_SECRET_FILE", "/file-canary")
	t.Setenv("AUTH_ACCESS_TOKEN_LIFETIME", "59m")
	for name := range commands {
		var out bytes.Buffer
		if err := Run(t.Context(), append(strings.Fields(name), "--help"), Streams{Out: &out, Err: &out}); !errors.Is(err, flag.ErrHelp) {
			t.Errorf("%s: %v", name, err)
		}
		if help := out.String(); !strings.Contains(help, `(default "auth.db")`) || strings.Contains(help, "canary") || strings.Contains(help, "59m") {
			t.Errorf("%s: %s", name, help)
		}
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	o := newOperator(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	log := &stopper{stop: cancel}
	args := append([]string{"serve", "--listen", "127.0.0.1:0"}, o.state...)
	if err := Run(ctx, args, Streams{Out: log, Err: log}); err != nil {
		t.Fatal(err)
	}
	if !log.seen {
		t.Error("it never said that it listens")
	}
}

// stopper ends the server as soon as it says that it listens.
type stopper struct {
	stop context.CancelFunc
	seen bool
}

func (s *stopper) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(`"listening"`)) {
		s.seen = true
		s.stop()
	}
	return len(p), nil
}

func TestDefaultsComeFromTheEnvironment(t *testing.T) {
	t.Setenv("AUTH_SECRET_FILE", "/from/the/environment")
	t.Setenv("AUTH_ACCESS_TOKEN_LIFETIME", "90s")
	t.Setenv("AUTH_DELAY", "soon")
	f := newFlags(Streams{Err: &bytes.Buffer{}}, "test", "test")
	if got := *f.text("secret-file", "x", ""); got != "/from/the/environment" {
		t.Errorf("got %q", got)
	}
	if got := *f.duration("access-token-lifetime", time.Minute, ""); got != 90*time.Second {
		t.Errorf("got %v", got)
	}
	if err := f.parse(nil); err != nil {
		t.Error(err)
	}
	f.duration("delay", time.Minute, "")
	if err := f.parse(nil); err == nil || !strings.Contains(err.Error(), "AUTH_DELAY") {
		t.Errorf("a delay of %q: %v", "soon", err)
	}
}
