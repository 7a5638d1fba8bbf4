package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The sites differ in the policy and the audit log alone: same TLS, same upstream, no access log.
const (
	bareSite = `
	reverse_proxy %s`
	policySite = `
	api items /items/* {
		access_token
		require {
			scope items:read
		}
		rate_limit {
			zone client {
				key {http.auth.token.iss} {http.auth.client.id}
				events 1000000000
				window 1m
			}
			zone user {
				key {http.auth.token.iss} {http.auth.user.id}
				events 1000000000
				window 1m
			}
		}
		reverse_proxy %s
	}`
	globalOptions = `{
	admin 127.0.0.1:%d
	auto_https disable_redirects
	skip_install_trust
	log {
		level ERROR
	}
	metrics
	%s
}
https://localhost:%d {
	tls internal%s
}
`
	appOptions = `tollgate {
		issuer %s {
			audience https://bench.example/api
			algorithms ES256
			jwks_uri %s/jwks
		}
		origin https://bench.example
		audit %s
	}`
)

// edge is a running tollgate under test.
type edge struct {
	kind    string
	addr    string
	metrics string
	tls     *tls.Config
	cmd     *exec.Cmd
}

func startEdge(ctx context.Context, binary, dir, kind, upstream, issuer string) (*edge, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	port, admin, err := twoPorts()
	if err != nil {
		return nil, err
	}
	options, site := "", fmt.Sprintf(bareSite, upstream)
	audit := "off"
	if kind == "audited" {
		audit = filepath.Join(dir, "audit")
	}
	if kind != "bare" {
		options, site = fmt.Sprintf(appOptions, issuer, issuer, audit), fmt.Sprintf(policySite, upstream)
	}
	config := filepath.Join(dir, "Caddyfile")
	text := fmt.Sprintf(globalOptions, admin, options, port, site)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	e := &edge{kind: kind, addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), metrics: fmt.Sprintf("http://127.0.0.1:%d/metrics", admin)}
	e.cmd = exec.CommandContext(ctx, binary, "run", "--config", config, "--adapter", "caddyfile")
	e.cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	e.cmd.Stderr = os.Stderr
	if err := e.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w (run make build first)", err)
	}
	if err := e.waitReady(filepath.Join(dir, "caddy/pki/authorities/local/root.crt")); err != nil {
		e.stop()
		return nil, err
	}
	return e, nil
}

// waitReady waits for the certificate authority's root and a first handshake.
func (e *edge) waitReady(root string) error {
	var err error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		var pem []byte
		if pem, err = os.ReadFile(root); err != nil {
			continue
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		e.tls = &tls.Config{RootCAs: pool, ServerName: "localhost"}
		var conn *tls.Conn
		if conn, err = tls.Dial("tcp", e.addr, e.tls); err == nil {
			return conn.Close()
		}
	}
	return fmt.Errorf("%s edge: not ready: %w", e.kind, err)
}

func (e *edge) stop() {
	_ = e.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	_ = e.cmd.Wait()
}

// cost is what the edge has used since it started.
type cost struct{ cpuSeconds, mallocs float64 }

// cost reads the process's own counters: Go's runtime and the kernel, through Prometheus.
func (e *edge) cost() (cost, error) {
	res, err := http.Get(e.metrics)
	if err != nil {
		return cost{}, err
	}
	defer func() { _ = res.Body.Close() }()
	var c cost
	for s := bufio.NewScanner(res.Body); s.Scan(); {
		name, value, _ := strings.Cut(s.Text(), " ")
		switch name {
		case "process_cpu_seconds_total":
			c.cpuSeconds, err = strconv.ParseFloat(value, 64)
		case "go_memstats_mallocs_total":
			c.mallocs, err = strconv.ParseFloat(value, 64)
		}
		if err != nil {
			return cost{}, err
		}
	}
	if c.cpuSeconds == 0 || c.mallocs == 0 {
		return cost{}, fmt.Errorf("%s lacks the process's CPU time or allocations", e.metrics)
	}
	return c, nil
}

func twoPorts() (a, b int, err error) {
	for _, p := range []*int{&a, &b} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, 0, err
		}
		defer func() { _ = l.Close() }()
		*p = l.Addr().(*net.TCPAddr).Port
	}
	return a, b, nil
}
