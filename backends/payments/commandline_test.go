package payments

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// runProgram runs one command line.
func runProgram(args ...string) (code int, out, errOut string) {
	var stdout, stderr bytes.Buffer
	code = Main(args, &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

func TestOperatorsCommands(t *testing.T) {
	t.Parallel()
	db := filepath.Join(t.TempDir(), "books.db")
	run := func(into any, args ...string) {
		t.Helper()
		code, out, errOut := runProgram(append(args, "--database", db)...)
		if code != 0 {
			t.Fatalf("%v: exit code %d: %s", args, code, errOut)
		}
		if err := json.Unmarshal([]byte(out), into); err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
	}
	open := []string{"account", "open", "--owner", "ada", "--name", "Everyday", "--deposit", "500"}
	var wallet, again, merchant Account
	run(&wallet, open...)
	run(&again, open...)
	if wallet.ID == "" || again != wallet {
		t.Errorf("opened %+v, then %+v", wallet, again)
	}
	if code, _, errOut := runProgram("account", "close", "--owner", "ada", "--database", db); code != exitFailed || !strings.Contains(errOut, "nothing was closed") {
		t.Errorf("closed with money in it: exit code %d: %s", code, errOut)
	}
	var empty Account
	var closed struct{ Closed string }
	run(&empty, "account", "open", "--owner", "bob", "--name", "Empty")
	if run(&closed, "account", "close", "--owner", "bob"); closed.Closed != "bob" {
		t.Errorf("closed %+v", closed)
	}
	run(&merchant, "merchant", "add", "--client", "shop", "--name", "Corner Shop")
	if merchant.Owner != "shop" || merchant.Currency != "EUR" {
		t.Errorf("added %+v", merchant)
	}
	var hook webhookView
	run(&hook, "webhook", "add", "--client", "shop", "--url", "https://shop.example/webhooks")
	if hook.Client != "shop" || !strings.HasPrefix(hook.Secret, "whsec_") {
		t.Errorf("added %+v", hook)
	}
	if _, err := os.Stat(strings.TrimSuffix(db, ".db") + ".key"); err != nil {
		t.Errorf("the master key is not beside the database: %v", err)
	}
	if code, out, errOut := runProgram("ledger", "verify", "--database", db); code != 0 || !strings.Contains(out, "right") {
		t.Errorf("ledger verify: exit code %d: %s", code, errOut)
	}
}

// An auditor's check is of the books that are there, by a program that knows them.
func TestLedgerVerifyMakesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	code, out, errOut := runProgram("ledger", "verify", "--database", filepath.Join(dir, "mistyped.db"))
	if code != exitFailed || out != "" || errOut == "" {
		t.Errorf("of a database that is not there: exit code %d, %s%s", code, out, errOut)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Errorf("it made %v, %v", files, err)
	}

	forEach(t, func(p *platform) {
		if code, _, errOut := runProgram("ledger", "verify", "--database", p.dsn); code != 0 {
			t.Errorf("exit code %d, %s", code, errOut)
		}
		if _, err := p.db.Exec(`UPDATE goose_db_version SET version_id = version_id + 1 WHERE version_id > 2`); err != nil {
			t.Fatal(err)
		}
		code, out, errOut := runProgram("ledger", "verify", "--database", p.dsn)
		if code != exitFailed || out != "" || !strings.Contains(errOut, "version") {
			t.Errorf("of another version: exit code %d, %s%s", code, out, errOut)
		}
	})
}

func TestBadCommandLines(t *testing.T) {
	t.Parallel()
	db := filepath.Join(t.TempDir(), "books.db")
	// Nothing listens there: what is wrong with the flags is said before it is dialled.
	postgres := "postgres://user:hunter2@127.0.0.1:1/none"
	for name, c := range map[string]struct {
		args  string
		wants string
	}{
		"nothing":                   {"", "serve, account open, account close, merchant add, webhook add, ledger verify or ledger rebuild"},
		"half a command":            {"account", `"account"`},
		"no owner":                  {"account open --name x --database " + db, "--owner is missing"},
		"not a number":              {"account open --owner a --name x --deposit 1.5 --database " + db, "--deposit"},
		"not a currency":            {"account open --owner a --name x --currency XXX --database " + db, "/currency"},
		"no such age":               {"serve --step-up-max-age 5 --database " + db, "--step-up-max-age"},
		"decisions too short":       {"serve --keep-decisions 89 --database " + db, "from 90 to 36500"},
		"decisions of a duration":   {"serve --keep-decisions 400h --database " + db, "--keep-decisions"},
		"nobody's accounts":         {"account close --database " + db, "--owner is missing"},
		"no address":                {"serve --listen= --database " + db, "--listen is missing"},
		"PostgreSQL, serve":         {"serve --database " + postgres, "--secret-file (PAYMENTS_SECRET_FILE) is missing"},
		"PostgreSQL, webhook":       {"webhook add --client c --url https://a.example --database " + postgres, "--secret-file"},
		"PostgreSQL and a key file": {"serve --secret-file x.key --database " + postgres, "127.0.0.1"},
	} {
		code, _, errOut := runProgram(strings.Fields(c.args)...)
		if code != exitFailed || !strings.Contains(errOut, c.wants) || strings.Contains(errOut, "hunter2") {
			t.Errorf("%s: exit code %d, %s", name, code, errOut)
		}
	}
	if _, err := os.Stat("x.key"); !errors.Is(err, os.ErrNotExist) {
		t.Error("a key was made for a database that does not answer")
	}
}

func TestHelpSaysWhereTheKeyIs(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"serve", "webhook add"} {
		code, _, help := runProgram(append(strings.Fields(command), "--help")...)
		if code != 0 || !strings.Contains(help, "PAYMENTS_SECRET_FILE") || !strings.Contains(help, "With PostgreSQL") {
			t.Errorf("%s: exit code %d, %s", command, code, help)
		}
	}
}

func TestKeyFile(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ dsn, flag, want string }{
		{"payments.db", "", "payments.key"},
		{"sqlite:/var/lib/p.db", "", "/var/lib/p.key"},
		{"books", "", "books.key"},
		{"payments.db", "/etc/k", "/etc/k"},
		{"postgres://h/d", "/etc/k", "/etc/k"},
		{"postgres://h/d", "", ""},
		{"postgresql://h/d", "", ""},
	} {
		got, err := storage{dsn: &c.dsn, secretFile: &c.flag}.keyFile()
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q, %q: got %q, %v", c.dsn, c.flag, got, err)
		}
	}
}
