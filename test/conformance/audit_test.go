package conformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/open-tollgate/tollgate/internal/token/tokentest"
)

// audited is an edge with an audit log.
type audited struct {
	*edge
	dir, url string
	issuer   *tokentest.Issuer
}

// auditedConfig has an API of each kind. The first %s is the folder, the second the key
// server, the third stands for what a reload adds.
const auditedConfig = `{
	admin {$TOLLGATE_ADMIN}
	tollgate {
		issuer https://issuer.test {
			audience https://issuer.test/api
			jwks_uri %[2]s
		}
		audit %[1]s {
			name edge.test/audit
			keep 90d
		}
	}
}
http://{$TOLLGATE_LISTEN} {
	api pay /pay {
		access_token
		audit required
		require {
			scope payments:read
		}
		respond "paid"
	}
	api open /open {
		public
		respond "open"
	}
	api quiet /quiet {
		public
		audit off
		respond "quiet"
	}
	%[3]s
}
`

func startAudited(t *testing.T) (*audited, func(extra string)) {
	t.Helper()
	a := &audited{dir: filepath.Join(t.TempDir(), "audit"), issuer: tokentest.NewIssuer(t, "https://issuer.test")}
	keys := httptest.NewServer(a.issuer.Handler())
	t.Cleanup(keys.Close)
	text := func(extra string) string { return fmt.Sprintf(auditedConfig, a.dir, keys.URL, extra) }
	listen := freeAddress(t)
	a.url = "http://" + listen
	config := writeConfig(t, "Caddyfile", text(""))
	a.edge = startEdge(t, config, "TOLLGATE_ADMIN="+freeAddress(t), "TOLLGATE_LISTEN="+listen)
	return a, func(extra string) {
		if err := os.WriteFile(config, []byte(text(extra)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// call gives the status of a request and its id.
func (a *audited) call(path, token string) (int, string) {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), http.MethodGet, a.url+path, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer.StatusCode, answer.Header.Get("X-Request-Id")
}

// audit runs the command.
func (a *audited) audit(args ...string) (string, error) {
	a.t.Helper()
	output, err := exec.CommandContext(a.t.Context(), binary, append([]string{"audit"}, args...)...).CombinedOutput()
	return string(output), err
}

// recordOf waits for the record of a request.
func (a *audited) recordOf(id string) map[string]any {
	a.t.Helper()
	var record map[string]any
	waitFor(a.t, "the record of "+id, func() bool {
		output, err := a.audit("export", a.dir, "--request-id", id)
		return err == nil && json.Unmarshal([]byte(output), &record) == nil
	})
	return record
}

func (a *audited) stop(signal os.Signal) {
	a.t.Helper()
	if err := a.Signal(signal); err != nil {
		a.t.Fatal(err)
	}
	select {
	case err := <-a.ended:
		a.ended <- err
		a.t.Logf("the edge ended: %v", err)
	case <-time.After(20 * time.Second):
		a.t.Fatal("the edge does not end")
	}
}

func TestDecisionsAreRecorded(t *testing.T) {
	t.Parallel()
	a, rewrite := startAudited(t)
	good := a.issuer.Token(tokentest.Claim("sub", "canary-user"), tokentest.Claim("scope", "payments:read"))
	poor := a.issuer.Token(tokentest.Claim("scope", "nothing"))
	var refused string
	for _, test := range []struct {
		path, token string
		status      int
		want        map[string]any
	}{
		{"/pay", good, 200, map[string]any{"api": "pay", "outcome": "allowed", "method": "GET", "node": "edge.test/audit"}},
		{"/pay", poor, 403, map[string]any{"api": "pay", "outcome": "refused", "rule": "require", "reason": "insufficient_scope"}},
		{"/pay", "", 401, map[string]any{"api": "pay", "outcome": "refused", "rule": "access_token", "reason": "no_credentials"}},
		{"/open", "", 200, map[string]any{"api": "open", "outcome": "allowed"}},
	} {
		status, id := a.call(test.path, test.token)
		record := a.recordOf(id)
		test.want["status"], test.want["kind"] = float64(test.status), "decision"
		for name, want := range test.want {
			if record[name] != want {
				t.Errorf("%s: %s is %v, want %v", test.path, name, record[name], want)
			}
		}
		if status != test.status || record["policy"] == "" || record["address"] == "" {
			t.Errorf("%s: %d, %v", test.path, status, record)
		}
		if test.status == 403 {
			refused = id
		}
	}
	if status, _ := a.call("/quiet", ""); status != 200 {
		t.Errorf("quiet: %d", status)
	}

	// Who it was can be asked for by those with the key, and is in no file.
	if output, err := a.audit("export", a.dir, "--subject", "canary-user"); err != nil || strings.Count(output, "\n") != 1 {
		t.Errorf("records of a user: %s, %v", output, err)
	}
	all, err := a.audit("export", a.dir)
	if err != nil || strings.Contains(all, "canary") || strings.Contains(all, `"api":"quiet"`) {
		t.Errorf("%s, %v", all, err)
	}

	// A reload is a record, and the log goes on.
	rewrite("api more /more {\n\t\tpublic\n\t\trespond \"more\"\n\t}")
	a.reload()
	waitFor(t, "the record of the reload", func() bool {
		output, err := a.audit("tail", a.dir, "--kind", "change")
		return err == nil && strings.Contains(output, `"api":"more"`) && strings.Contains(output, "previous_policy")
	})
	a.stop(syscall.SIGTERM)

	key := filepath.Join(a.dir, "public.key")
	if output, err := a.audit("verify", a.dir, "--key", key); err != nil || !strings.Contains(output, "verified: records 0 to") {
		t.Fatalf("%s, %v", output, err)
	}
	a.proves(refused, key)
	a.notices(key)
}

// proves shows one refusal to somebody without the log.
func (a *audited) proves(request, key string) {
	a.t.Helper()
	proof, err := a.audit("prove", a.dir, "--request-id", request)
	if err != nil {
		a.t.Fatal(proof)
	}
	check := func(text string) (string, error) {
		return a.audit("check", writeConfig(a.t, "proof.json", text), "--key", key)
	}
	if output, err := check(proof); err != nil || !strings.Contains(output, "insufficient_scope") {
		a.t.Errorf("%s, %v", output, err)
	}
	if output, err := check(strings.Replace(proof, "refused", "allowed", 1)); err == nil || !strings.Contains(output, "NOT proved") {
		a.t.Errorf("an altered proof: %s, %v", output, err)
	}
}

// notices an alteration, by the command.
func (a *audited) notices(key string) {
	a.t.Helper()
	path := filepath.Join(a.dir, "0000000000000000000.records")
	content, err := os.ReadFile(path)
	if err != nil {
		a.t.Fatal(err)
	}
	altered := strings.Replace(string(content), `"status":403`, `"status":200`, 1)
	if altered == string(content) {
		a.t.Fatal("no record to alter")
	}
	if err := os.WriteFile(path, []byte(altered), 0o600); err != nil {
		a.t.Fatal(err)
	}
	if output, err := a.audit("verify", a.dir, "--key", key); err == nil || !strings.Contains(output, "NOT what was signed") || !strings.Contains(output, ": record ") {
		a.t.Errorf("%s, %v", output, err)
	}
	for name, test := range map[string]struct {
		args []string
		code int
		want string
	}{
		"altered":          {[]string{"verify", a.dir, "--key", key}, 1, "NOT what was signed"},
		"no folder":        {[]string{"verify", "/nowhere", "--key", key}, 2, "not verified"},
		"no key":           {[]string{"verify", a.dir, "--key", "/nowhere"}, 2, "public key"},
		"no checkpoint":    {[]string{"verify", a.dir, "--key", key, "--kept", "/nowhere"}, 2, "--kept"},
		"a kind of none":   {[]string{"tail", a.dir, "--kind", "decisions"}, 1, "decisions"},
		"a folder's proof": {[]string{"check", a.dir, "--key", key}, 2, "not a file"},
		"another folder":   {[]string{"verify", a.t.TempDir(), "--key", key}, 2, "there is no log here"},
		"no proof":         {[]string{"check", writeConfig(a.t, "claims.json", `{"sub":"alice"}`), "--key", key}, 2, "is not a proof"},
	} {
		output, err := a.audit(test.args...)
		failed, ok := errors.AsType[*exec.ExitError](err)
		if !ok || failed.ExitCode() != test.code || !strings.Contains(output, test.want) {
			a.t.Errorf("%s: %v, want %d: %s", name, err, test.code, output)
		}
	}
}

// limitFiles makes a disk that is full of one process's files, as far as it can tell.
func (a *audited) limitFiles(size uint64) {
	a.t.Helper()
	if err := unix.Prlimit(a.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: size, Max: unix.RLIM_INFINITY}, nil); err != nil {
		a.t.Fatal(err)
	}
}

// A full disk stops what has to be recorded, and nothing else; nothing is lost.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	a, _ := startAudited(t)
	good := a.issuer.Token(tokentest.Claim("scope", "payments:read"))
	if status, _ := a.call("/pay", good); status != 200 {
		t.Fatalf("before: %d", status)
	}
	a.limitFiles(10)
	_, during := a.call("/open", "") // makes it try
	waitFor(t, "the refusals", func() bool {
		status, _ := a.call("/pay", good)
		return status == 503
	})
	if status, _ := a.call("/open", ""); status != 200 {
		t.Errorf("an API that need not be recorded: %d", status)
	}
	if got := a.metric("tollgate_audit_failing"); got != "1" {
		t.Errorf("tollgate_audit_failing %s", got)
	}
	waitFor(t, "the log to say so", func() bool { return strings.Contains(a.log.String(), "the audit log cannot be written") })
	a.limitFiles(unix.RLIM_INFINITY)
	waitFor(t, "recovery", func() bool {
		status, _ := a.call("/pay", good)
		return status == 200
	})
	if got := a.metric("tollgate_audit_failing"); got != "0" {
		t.Errorf("tollgate_audit_failing %s", got)
	}
	if record := a.recordOf(during); record["api"] != "open" {
		t.Errorf("%v", record)
	}
	a.stop(syscall.SIGKILL)
	if output, err := a.audit("verify", a.dir, "--live"); err != nil {
		t.Errorf("%s, %v", output, err)
	}
}

func TestAuditConfig(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, test := range map[string]struct{ option, api, want string }{
		"required without a log": {"", "audit required", "audit required"},
		"a word of its own":      {"audit " + dir, "audit perhaps", "perhaps"},
		"no folder":              {"audit", "", "audit"},
		"unknown option":         {"audit " + dir + " {\n\t\t\tkept 5d\n\t\t}", "", "kept"},
		"no duration":            {"audit " + dir + " {\n\t\t\tkeep long\n\t\t}", "", "keep"},
		"no size":                {"audit " + dir + " {\n\t\t\tsegment_size 5\n\t\t}", "", "segment_size"},
		"no number":              {"audit " + dir + " {\n\t\t\tqueue 5x\n\t\t}", "", "queue"},
		"a name with a blank":    {"audit " + dir + " {\n\t\t\tname \"a b\"\n\t\t}", "", "a b"},
		"no port":                {"audit " + dir + " {\n\t\t\tsyslog logs.test\n\t\t}", "", "logs.test"},
	} {
		config := writeConfig(t, "Caddyfile", "{\n\ttollgate {\n\t\t"+test.option+"\n\t}\n}\n:80 {\n\tapi a {\n\t\tpublic\n\t\t"+test.api+"\n\t}\n}\n")
		output, err := exec.CommandContext(t.Context(), binary, "validate", "--config", config, "--adapter", "caddyfile").CombinedOutput()
		if err == nil || !strings.Contains(string(output), test.want) || !strings.Contains(string(output), config+":") {
			t.Errorf("%s: %v\n%s", name, err, output)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("validate has made %v, %v", entries, err)
	}
}
