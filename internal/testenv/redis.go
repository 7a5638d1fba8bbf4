package testenv

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"
)

const (
	redisStart = 10 * time.Second
	redisPing  = 200 * time.Millisecond
	// Between finding a free port and Redis binding it, another process can take it.
	redisPortTries = 5
)

// Redis starts a real redis-server for one test and gives its address. It keeps
// nothing on disk and is gone when the test ends.
func Redis(t testing.TB) string {
	t.Helper()
	return NewRedisServer(t).Addr()
}

// RedisServer is a redis-server process that a test may kill, pause and restart.
type RedisServer struct {
	t       testing.TB
	program string
	args    []string
	command []string // all arguments, where they are not those of a server
	dir     string
	port    int
	process *exec.Cmd
	exited  chan struct{} // closed when the process is gone
}

// NewRedisServer starts a redis-server on a free loopback port and waits until
// it answers. The test fails where the program is not installed. More arguments go
// to the program as they are.
func NewRedisServer(t testing.TB, args ...string) *RedisServer {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatalf("these tests need redis-server (Debian: apt-get install redis-server): %v", err)
	}
	s := &RedisServer{t: t, program: program, args: args, dir: t.TempDir()}
	t.Cleanup(s.Kill)
	for range redisPortTries {
		s.port = freePort(t)
		if err = s.start(); err == nil {
			return s
		}
	}
	t.Fatalf("start redis-server: %v", err)
	return nil
}

// Addr gives host and port.
func (s *RedisServer) Addr() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))
}

// Kill ends the process as kill -9 does. Everything that it held is lost.
func (s *RedisServer) Kill() {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Kill() // it may have ended by itself
	<-s.exited
	s.process = nil
}

// Restart starts the server again, empty, on the same address.
func (s *RedisServer) Restart() {
	s.t.Helper()
	s.Kill()
	if err := s.start(); err != nil {
		s.t.Fatalf("restart redis-server: %v", err)
	}
}

// Pause stops the process from answering while its connections stay open.
func (s *RedisServer) Pause() { s.signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (s *RedisServer) Resume() { s.signal(syscall.SIGCONT) }

func (s *RedisServer) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.process.Process.Signal(sig); err != nil {
		s.t.Fatalf("signal %v to redis-server: %v", sig, err)
	}
}

func (s *RedisServer) start() error {
	output, err := os.Create(s.dir + "/redis.log")
	if err != nil {
		return err
	}
	defer output.Close() // the child has its own copy
	args := append([]string{
		"--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--dir", s.dir,
		"--save", "", "--appendonly", "no",
	}, s.args...)
	if s.command != nil {
		args = s.command
	}
	s.process = exec.Command(s.program, args...)
	s.process.Stdout, s.process.Stderr = output, output
	if err := s.process.Start(); err != nil {
		s.process = nil
		return err
	}
	exited := make(chan struct{})
	s.exited = exited
	go func(process *exec.Cmd) {
		_ = process.Wait() // how it ended does not matter: the tests kill it
		close(exited)
	}(s.process)
	return s.awaitReady(output.Name())
}

func (s *RedisServer) awaitReady(log string) error {
	deadline := time.After(redisStart)
	retry := time.NewTicker(5 * time.Millisecond)
	defer retry.Stop()
	for !answersPing(s.Addr()) {
		select {
		case <-retry.C:
		case <-s.exited:
			text, _ := os.ReadFile(log) // what there is of it explains the exit
			return fmt.Errorf("redis-server on port %d ended: %s", s.port, text)
		case <-deadline:
			s.Kill()
			return fmt.Errorf("redis-server on port %d does not answer", s.port)
		}
	}
	return nil
}

// answersPing speaks the inline protocol: the helper depends on no client that it helps to test.
func answersPing(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, redisPing)
	if err != nil {
		return false
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(redisPing)); err != nil {
		return false
	}
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return false
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	return err == nil && line == "+PONG\r\n"
}

func freePort(t testing.TB) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}
