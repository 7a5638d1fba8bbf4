package testenv

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// postgres is the one cluster of this test process.
var postgres struct {
	sync.Once
	dir   string
	err   error
	stdin io.Closer // kept open for as long as this process lives
	next  atomic.Int64
}

// Postgres gives the DSN of a fresh, empty database in a real PostgreSQL server.
// The server is started once per test process, on a Unix socket, and ends with it.
func Postgres(t testing.TB) (dsn string) {
	t.Helper()
	postgres.Do(func() { postgres.err = startPostgres() })
	if postgres.err != nil {
		t.Fatalf("PostgreSQL (run make deps): %v", postgres.err)
	}
	name := fmt.Sprintf("test%d", postgres.next.Add(1))
	ctx := t.Context()
	conn, err := pgx.Connect(ctx, postgresDSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	return postgresDSN(name)
}

func postgresDSN(database string) string {
	return "postgres://postgres@/" + database + "?host=" + postgres.dir
}

func startPostgres() error {
	bin, err := postgresBin()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "tollgate-pg-")
	if err != nil {
		return err
	}
	postgres.dir = dir
	attr, err := unprivileged(dir)
	if err != nil {
		return err
	}
	// fsync is off: these tests kill processes, not the machine.
	initdb := exec.Command(filepath.Join(bin, "initdb"), "--no-sync", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-D", dir+"/data")
	initdb.SysProcAttr = attr
	initdb.Dir = dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	// The shell outlives this process by a moment: when its standard input
	// closes, which even kill -9 brings about, it stops the server and cleans up.
	// $! is the server itself.
	const script = `"$0" "$@" & read -r _; kill -INT $!; wait $!; rm -rf "$PGTMP"`
	server := exec.Command("sh", "-c", script, filepath.Join(bin, "postgres"), "-D", dir+"/data", "-k", dir,
		"-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=300", "-c", "shared_buffers=64MB")
	server.Env = append(os.Environ(), "PGTMP="+dir)
	// A session of its own: Ctrl-C at the terminal must not race the shell's clean-up.
	server.SysProcAttr = &syscall.SysProcAttr{Credential: attr.Credential, Setsid: true}
	server.Dir = dir
	stdin, err := server.StdinPipe()
	if err != nil {
		return err
	}
	postgres.stdin = stdin
	stderr, err := server.StderrPipe()
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	go drain(stderr)
	return waitPostgres()
}

func drain(r io.Reader) {
	for s := bufio.NewScanner(r); s.Scan(); {
	}
}

func waitPostgres() error {
	var err error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		var conn *pgx.Conn
		if conn, err = pgx.Connect(context.Background(), postgresDSN("postgres")); err == nil {
			return conn.Close(context.Background())
		}
	}
	return fmt.Errorf("the server did not answer in 30 s: %w", err)
}

// postgresBin finds the server's own commands: Debian keeps them off PATH.
func postgresBin() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is well-formed
	if len(found) == 0 {
		return "", fmt.Errorf("initdb is neither on PATH nor in /usr/lib/postgresql")
	}
	return filepath.Dir(found[len(found)-1]), nil
}

// unprivileged gives dir to the user postgres where this process is root, which
// PostgreSQL refuses to run as.
func unprivileged(dir string) (*syscall.SysProcAttr, error) {
	if os.Getuid() != 0 {
		return &syscall.SysProcAttr{}, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("running as root: %w", err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return nil, err
	}
	if err := os.Chown(dir, uid, gid); err != nil {
		return nil, err
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}
