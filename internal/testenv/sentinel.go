package testenv

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// SentinelMaster is the name under which NewSentinel watches its master.
const SentinelMaster = "tollgate"

// NewSentinel starts a Redis Sentinel that watches a server, and makes one of its
// replicas the master soon after the server is gone. It gives its address.
func NewSentinel(t testing.TB, master *RedisServer) string {
	t.Helper()
	s := &RedisServer{t: t, program: master.program, dir: t.TempDir()}
	t.Cleanup(s.Kill)
	var err error
	for range redisPortTries {
		s.port = freePort(t)
		file := filepath.Join(s.dir, "sentinel.conf") // it writes there what it learns
		text := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\n"+
			"sentinel monitor %[3]s 127.0.0.1 %[4]d 1\nsentinel down-after-milliseconds %[3]s 500\n"+
			"sentinel failover-timeout %[3]s 3000\n", s.port, s.dir, SentinelMaster, master.port)
		if err = os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s.command = []string{file, "--sentinel"}
		if err = s.start(); err == nil {
			return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))
		}
	}
	t.Fatalf("start redis-sentinel: %v", err)
	return ""
}
