package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// binaries are the programs that demo starts.
var binaries = []string{"tollgate", "auth", "users", "payments", "shop"}

const (
	stopTimeout = 15 * time.Second // then SIGKILL
	restartGap  = 200 * time.Millisecond
	// A process that dies this often within the span is broken, not unlucky.
	maxDeaths  = 10
	deathsSpan = 10 * time.Second
)

// process is one of the platform's programs, started again when it dies.
type process struct {
	name string
	args []string
	env  []string // beside this process's own
	log  string   // path of its log file
	bin  string
}

// command gives the process as a command that ends when ctx does: asked first, then killed.
func (p process) command(ctx context.Context, log *os.File) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin, p.name), p.args...)
	cmd.Env = append(os.Environ(), p.env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopTimeout
	cmd.SysProcAttr = childAttributes()
	return cmd
}

// supervise runs the process until ctx ends, as systemd would: one that dies is
// started again, one that keeps dying is an error.
func (p process) supervise(ctx context.Context) error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	var deaths []time.Time
	for {
		err := p.runOnce(ctx, log)
		if ctx.Err() != nil {
			return nil
		}
		fmt.Fprintf(os.Stderr, "demo: %s ended (%v); starting it again\n", p.name, err)
		deaths = append(deaths, time.Now())
		if n := len(deaths); n >= maxDeaths && deaths[n-1].Sub(deaths[n-maxDeaths]) < deathsSpan {
			return fmt.Errorf("%s keeps ending (%v); its last words in %s:\n%s", p.name, err, p.log, lastLines(p.log))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(restartGap):
		}
	}
}

func (p process) runOnce(ctx context.Context, log *os.File) error {
	cmd := p.command(ctx, log)
	if err := cmd.Start(); err != nil {
		return err
	}
	return cmd.Wait()
}

// lastLines gives the end of a log file, for an error on the terminal.
func lastLines(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(content), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-5):], []byte("\n")))
}

// oneShot runs a program to its end and gives its standard output.
func oneShot(ctx context.Context, stdin string, env []string, path string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin = bytes.NewBufferString(stdin)
	cmd.SysProcAttr = childAttributes()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", filepath.Base(path), args[0], err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}
