package limits

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// startRedisRate runs nodes that ask the go-redis project's limiter, a GCRA in a script.
func startRedisRate(t *testing.T, redis, backend string) system {
	t.Helper()
	s := system{name: "redis_rate", scripts: true}
	for range nodes {
		s.addrs = append(s.addrs, startNode(t, backend, "-redis-rate", redis))
	}
	return s
}

// startEnvoy runs nodes that ask envoyproxy's rate limit service, as an Envoy would.
func startEnvoy(t *testing.T, redis, backend string) system {
	t.Helper()
	s := system{name: "envoy ratelimit"}
	service := startService(t, redis)
	for range nodes {
		s.addrs = append(s.addrs, startNode(t, backend, "-envoy", service))
	}
	return s
}

func startNode(t *testing.T, backend, kind, target string) string {
	t.Helper()
	addr := freeAddress(t)
	args := []string{"-listen", addr, "-backend", "http://" + backend, kind, target}
	for _, l := range all {
		args = append(args, fmt.Sprintf("-limit=%s=%d/%s", l.name, l.events, l.window))
	}
	start(t, nil, baseline, args...).await("http://" + addr + "/")
	return addr
}

// startService runs the service itself, configured by its environment and a file.
func startService(t *testing.T, redis string) (grpc string) {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "limits", "config")
	if err := os.MkdirAll(config, 0o700); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("domain: limits\ndescriptors:\n")
	for _, l := range all {
		unit := "second"
		if l.window == time.Minute {
			unit = "minute"
		}
		fmt.Fprintf(&b, "  - key: %s\n    rate_limit:\n      unit: %s\n      requests_per_unit: %d\n", l.name, unit, l.events)
	}
	if err := os.WriteFile(filepath.Join(config, "limits.yaml"), []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"RUNTIME_ROOT=" + dir, "RUNTIME_SUBDIRECTORY=limits", "RUNTIME_WATCH_ROOT=false", "USE_STATSD=false",
		"REDIS_SOCKET_TYPE=tcp", "REDIS_URL=" + redis, "LOG_LEVEL=error"}
	addrs := make(map[string]string)
	for _, name := range []string{"", "GRPC_", "DEBUG_"} {
		addr := freeAddress(t)
		host, port, _ := net.SplitHostPort(addr)
		env = append(env, name+"HOST="+host, name+"PORT="+port)
		addrs[name] = addr
	}
	start(t, env, baseline, "-serve").await("http://" + addrs[""] + "/healthcheck")
	return addrs["GRPC_"]
}
