package limits

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// nodes is how many processes share the limits.
const nodes = 3

// limit is one of those under test. Its name is its path, and its zone.
type limit struct {
	name   string
	events int
	window time.Duration
}

var (
	m10   = limit{"m10", 10, time.Minute}
	s30   = limit{"s30", 30, time.Second}
	s500  = limit{"s500", 500, time.Second}
	s2000 = limit{"s2000", 2000, time.Second}
	// huge and fast are never reached: what they cost is the limiter's own time.
	huge = limit{"huge", 100_000_000, time.Minute}
	fast = limit{"fast", 10_000_000, time.Second}
	all  = []limit{m10, s30, s500, s2000, huge, fast}
)

// free is the path without a limit.
const free = "free"

// edge is a running Tollgate.
type edge struct {
	*process
	addr   string
	admin  string
	config string
}

// edgeConfig gives a Caddyfile with an api, and in it a zone, for each limit. four has
// four zones for the same request. Where Redis is too late on a busy machine, requests are
// refused, so that no window has an excuse.
func edgeConfig(addr, admin, redis, backend string, limits ...limit) string {
	var b strings.Builder
	fmt.Fprintf(&b, "{\n\tadmin %s\n\tauto_https off\n\tpersist_config off\n\tlog {\n\t\tlevel WARN\n\t}\n", admin)
	host, port, _ := net.SplitHostPort(addr)
	fmt.Fprintf(&b, "\ttollgate {\n\t\tredis %s\n\t\trate_limits {\n\t\t\tnodes 1\n\t\t\tdeadline 5s\n\t\t}\n\t}\n}\nhttp://:%s {\n\tbind seamless/%s\n", redis, port, host)
	fmt.Fprintf(&b, "\tapi free /free {\n\t\tpublic\n\t\treverse_proxy %s\n\t}\n", backend)
	for _, l := range limits {
		fmt.Fprintf(&b, "\tapi %s /%s {\n\t\tpublic\n\t\trate_limit {\n", l.name, l.name)
		fmt.Fprintf(&b, zone, l.name, l.events, l.window)
		fmt.Fprintf(&b, "\t\t}\n\t\treverse_proxy %s\n\t}\n", backend)
	}
	b.WriteString("\tapi four /four {\n\t\tpublic\n\t\trate_limit {\n")
	for n := range 4 {
		fmt.Fprintf(&b, zone, fmt.Sprint("four", n), 10+n, time.Minute)
	}
	fmt.Fprintf(&b, "\t\t}\n\t\treverse_proxy %s\n\t}\n}\n", backend)
	return b.String()
}

const zone = "\t\t\tzone %s {\n\t\t\t\tkey {http.request.header.Client}\n\t\t\t\tevents %d\n\t\t\t\twindow %s\n\t\t\t\ton_failure closed\n\t\t\t}\n"

// startEdge runs one with its own Caddyfile.
func startEdge(t *testing.T, redis, backend string, limits ...limit) *edge {
	t.Helper()
	dir := t.TempDir()
	e := &edge{addr: freeAddress(t), admin: freeAddress(t), config: filepath.Join(dir, "Caddyfile")}
	e.write(edgeConfig(e.addr, e.admin, redis, backend, limits...), t)
	e.process = start(t, []string{"XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir},
		binary, "run", "--config", e.config, "--adapter", "caddyfile")
	e.await("http://" + e.addr + "/")
	return e
}

func (e *edge) write(config string, t *testing.T) {
	t.Helper()
	if err := os.WriteFile(e.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
}

// reload applies another Caddyfile to the running edge.
func (e *edge) reload(config string) {
	e.t.Helper()
	e.write(config, e.t)
	command := exec.Command(binary, "reload", "--force", "--config", e.config, "--adapter", "caddyfile", "--address", e.admin)
	if output, err := command.CombinedOutput(); err != nil {
		e.t.Fatalf("reload: %v\n%s", err, output)
	}
}

// metrics gives what Prometheus would scrape.
func (e *edge) metrics() string {
	e.t.Helper()
	res, err := http.Get("http://" + e.admin + "/metrics")
	if err != nil {
		e.t.Fatal(err)
	}
	return read(e.t, res)
}

func read(t *testing.T, res *http.Response) string {
	t.Helper()
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
