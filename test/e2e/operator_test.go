package e2e

import (
	"database/sql"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	_ "github.com/jackc/pgx/v5/stdlib" // the "pgx" driver
	_ "modernc.org/sqlite"             // the "sqlite" driver

	"github.com/open-tollgate/tollgate/internal/testenv"
)

// TestDemoSaysWhatIsWrong: each mistake is one clear line.
func TestDemoSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	d := shared(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	takenPort := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, "auth.db"), []byte("this is not a database, and long enough to be seen as none"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"not a PostgreSQL": {[]string{"--postgres", "mysql://x"}, "--postgres"},
		"twice":            {[]string{"--data", d.dir, "--port", strconv.Itoa(freePort(t))}, "already running"},
		"taken port":       {[]string{"--data", t.TempDir(), "--port", takenPort}, "port " + takenPort + " is taken"},
		"data is a file":   {[]string{"--data", file, "--port", strconv.Itoa(freePort(t))}, "data folder"},
		"broken database":  {[]string{"--data", broken, "--port", strconv.Itoa(freePort(t))}, "auth.db"},
		"not a port":       {[]string{"--port", "99999"}, "--port 99999"},
		"not a Redis URL":  {[]string{"--redis", "localhost:6379"}, "--redis"},
		"unknown argument": {[]string{"up"}, `"up"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := exec.Command(filepath.Join(bin, "demo"), c.args...).CombinedOutput()
			text := strings.TrimSpace(string(out))
			if err == nil || !strings.Contains(text, c.want) || strings.Count(text, "\n") > 0 {
				t.Errorf("got %v:\n%s\nwant one line with %q", err, text, c.want)
			}
		})
	}
}

// TestDemoStartsAgain: the second start on a data folder keeps users, money and passwords.
func TestDemoStartsAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := startDemoIn(t, dir)
	if err := first.stop(); err != nil {
		t.Fatalf("stopping: %v\n%s", err, first.out)
	}
	if _, err := os.Stat(filepath.Join(dir, "demo.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("demo.json is there while no demo is: %v", err)
	}
	start := time.Now()
	second := startDemoIn(t, dir)
	t.Logf("the second start took %s", time.Since(start))
	if len(first.Users) == 0 || first.Users[0] != second.Users[0] {
		t.Errorf("the users changed: %v, then %v", first.Users, second.Users)
	}
	buy(t, second)
}

// TestKilledPayments kills the payments service with -9 while a payment is being
// confirmed, at another moment each time, and confirms again with the same key
// until it is told how it ended: paid, exactly once.
func TestKilledPayments(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		d := startDemo(t)
		killAndConfirm(t, d, filepath.Join(d.dir, "payments.db"))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		dsn := testenv.Postgres(t)
		killAndConfirm(t, startDemo(t, "--postgres", dsn), dsn)
	})
}

// killRounds and killSpan: a confirm takes some milliseconds, and one of the kills
// should fall before its commit, one behind it.
const (
	killRounds = 6
	killSpan   = 15 * time.Millisecond
)

func killAndConfirm(t *testing.T, d *demo, dsn string) {
	c := d.http(t)
	shop := d.client(t, "shop")
	app := d.clientToken(t, c, shop, "payments:create payments:read")
	// The service has just started and connected; a first payment warms it up.
	confirmUntilTold(t, d, d.createPayment(t, c, app, 100), shop, 0)
	for range killRounds {
		payment := d.createPayment(t, c, app, 4200)
		confirmUntilTold(t, d, payment, shop, rand.N(killSpan)+1)
		if moved := moves(t, dsn, payment.text(t, "id")); len(moved) != 1 || moved[0] != 4200 {
			t.Errorf("the payment of 4200 moved money %d times: %v", len(moved), moved)
		}
	}
	out, err := exec.Command(filepath.Join(bin, "payments"), "ledger", "verify", "--database", dsn).CombinedOutput()
	if err != nil {
		t.Errorf("ledger verify: %v\n%s", err, out)
	}
}

// confirmUntilTold confirms, kills the service after a while (never, when that is
// zero), and confirms again.
func confirmUntilTold(t *testing.T, d *demo, payment answer, shop client, kill time.Duration) {
	t.Helper()
	c := d.http(t)
	token := d.userToken(t, c, shop, payment)
	key := uuid.NewString()
	if kill > 0 {
		pid, first := d.pid(t, "payments"), make(chan int, 1)
		go func() { first <- d.confirm(t, c, payment, token, key).status }()
		time.Sleep(kill) // the point is not to know where it is by then
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		t.Logf("killed after %s: the caller got %d", kill, <-first)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		a := d.confirm(t, c, payment, token, key)
		if a.status == 200 && a.text(t, "status") == "succeeded" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not confirmed after the crash: %d %s", a.status, a.body)
		}
	}
}

// moves reads the amounts that a payment has moved, past all of the service's own code.
func moves(t *testing.T, dsn, payment string) (amounts []int64) {
	t.Helper()
	driver, source, table := "sqlite", "file:"+dsn, "transfers"
	if strings.HasPrefix(dsn, "postgres:") {
		driver, source, table = "pgx", dsn, "payments.transfers"
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	rows, err := db.QueryContext(t.Context(), "SELECT amount FROM "+table+" WHERE payment_id = $1", payment)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var amount int64
		if err := rows.Scan(&amount); err != nil {
			t.Fatal(err)
		}
		amounts = append(amounts, amount)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return amounts
}
