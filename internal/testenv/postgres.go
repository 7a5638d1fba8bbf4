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

// cluster is a PostgreSQL server with its data.
type cluster struct {
	dir   string
	stdin io.Closer // kept open for as long as the server is to live
	next  atomic.Int64
}

// shared is the one cluster that the tests of this process share.
var shared struct {
	sync.Once
	*cluster
	err error
}

// Postgres gives the DSN of a fresh, empty database in a real PostgreSQL server.
// The server is started once per test process, on a Unix socket, and ends with it.
func Postgres(t testing.TB) (dsn string) {
	t.Helper()
	shared.Do(func() { shared.cluster, shared.err = startPostgres("fsync=off") })
	if shared.err != nil {
		t.Fatalf("PostgreSQL (run make deps): %v", shared.err)
	}
	return shared.database(t, "template1")
}

// PostgresLike gives the DSN of a new database that is a copy of one that Postgres gave,
// and that nobody is connected to.
func PostgresLike(t testing.TB, dsn string) (copied string) {
	t.Helper()
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return shared.database(t, cfg.Database)
}

// CrashingPostgres is like Postgres, with a server that is the test's own: crash kills
// it in the middle of whatever it does, and comes back when it has recovered.
func CrashingPostgres(t testing.TB) (dsn string, crash func()) {
	t.Helper()
	c := ownPostgres(t, "fsync=off")
	return c.database(t, "template1"), func() {
		t.Helper()
		if err := c.crash(); err != nil {
			t.Fatal(err)
		}
	}
}

// DurablePostgres is like Postgres, with a server that is the benchmark's own and
// waits for the disk at each commit, as one in production does.
func DurablePostgres(b testing.TB) (dsn string) {
	b.Helper()
	return ownPostgres(b, "shared_buffers=1GB", "max_wal_size=8GB").database(b, "template1")
}

// ownPostgres starts a server that ends with the test.
func ownPostgres(t testing.TB, settings ...string) *cluster {
	t.Helper()
	c, err := startPostgres(settings...)
	if err != nil {
		t.Fatalf("PostgreSQL (run make deps): %v", err)
	}
	t.Cleanup(func() { _ = c.stdin.Close() }) // which ends it
	return c
}

// crash kills one of the server's processes with -9. What it held in shared memory
// cannot be trusted after that: the server kills all the others, and recovers from its log.
func (c *cluster) crash() error {
	ctx := context.Background()
	victim, err := pgx.Connect(ctx, c.dsn("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = victim.Close(ctx) }() // it is broken
	other, err := pgx.Connect(ctx, c.dsn("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = other.Close(ctx) }() // as well
	if err := syscall.Kill(int(victim.PgConn().PID()), syscall.SIGKILL); err != nil {
		return err
	}
	for other.Ping(ctx) == nil { // the server has not noticed yet
		time.Sleep(time.Millisecond)
	}
	return c.wait()
}

func (c *cluster) database(t testing.TB, template string) (dsn string) {
	t.Helper()
	name := fmt.Sprintf("test%d", c.next.Add(1))
	ctx := t.Context()
	conn, err := pgx.Connect(ctx, c.dsn("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+name+" TEMPLATE "+template); err != nil {
		t.Fatal(err)
	}
	return c.dsn(name)
}

func (c *cluster) dsn(database string) string {
	return "postgres://postgres@/" + database + "?host=" + c.dir
}

// startPostgres starts a server with these settings of its configuration. Tests say
// fsync=off: they kill processes, not the machine.
func startPostgres(settings ...string) (*cluster, error) {
	bin, err := postgresBin()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "tollgate-pg-")
	if err != nil {
		return nil, err
	}
	c := &cluster{dir: dir}
	attr, err := unprivileged(dir)
	if err != nil {
		return nil, err
	}
	initdb := exec.Command(filepath.Join(bin, "initdb"), "--no-sync", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-D", dir+"/data")
	initdb.SysProcAttr = attr
	initdb.Dir = dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	// The shell outlives this process by a moment: when its standard input
	// closes, which even kill -9 brings about, it stops the server and cleans up.
	// $! is the server itself.
	const script = `"$0" "$@" & read -r _; kill -INT $!; wait $!; rm -rf "$PGTMP"`
	args := []string{"-c", script, filepath.Join(bin, "postgres"), "-D", dir + "/data", "-k", dir}
	for _, setting := range append([]string{"listen_addresses=", "max_connections=300", "shared_buffers=64MB"}, settings...) {
		args = append(args, "-c", setting)
	}
	server := exec.Command("sh", args...)
	server.Env = append(os.Environ(), "PGTMP="+dir)
	// A session of its own: Ctrl-C at the terminal must not race the shell's clean-up.
	server.SysProcAttr = &syscall.SysProcAttr{Credential: attr.Credential, Setsid: true}
	server.Dir = dir
	if c.stdin, err = server.StdinPipe(); err != nil {
		return nil, err
	}
	stderr, err := server.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := server.Start(); err != nil {
		return nil, err
	}
	go drain(stderr)
	return c, c.wait()
}

func drain(r io.Reader) {
	for s := bufio.NewScanner(r); s.Scan(); {
	}
}

func (c *cluster) wait() error {
	var err error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		var conn *pgx.Conn
		if conn, err = pgx.Connect(context.Background(), c.dsn("postgres")); err == nil {
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
