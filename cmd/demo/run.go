package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
)

// readyTimeout bounds the wait for one process to answer.
const readyTimeout = 60 * time.Second

// run brings the platform up, says so, and keeps it up until ctx ends.
func run(ctx context.Context, o options, out io.Writer) error {
	p, taken := choosePorts(o.port)
	if _, err := os.Stat(o.data); taken != nil && errors.Is(err, os.ErrNotExist) {
		return taken // and makes no folder for nothing
	}
	unlock, err := openData(o.data)
	if err != nil {
		return err // a demo that runs here has the port, too
	}
	defer unlock()
	if taken != nil {
		return taken
	}
	if err := removeManifest(o.data); err != nil { // of a demo that was killed
		return fmt.Errorf("data folder: %w", err)
	}
	m, webhookSecret, err := prepare(ctx, o, p)
	if err != nil {
		return ignoreStop(ctx, err)
	}
	return ignoreStop(ctx, serve(ctx, o, p, m, webhookSecret, out))
}

// ignoreStop forgives what fails because the demo is being stopped.
func ignoreStop(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// prepare fills the stores and describes what will run.
func prepare(ctx context.Context, o options, p ports) (*manifest, string, error) {
	base := fmt.Sprintf("https://localhost:%d", p.edge)
	m := &manifest{
		BaseURL: base, Issuer: base,
		CACert:     filepath.Join(o.data, "caddy", "pki", "authorities", "local", "root.crt"),
		AdminURL:   fmt.Sprintf("http://localhost:%d", p.admin),
		MetricsURL: fmt.Sprintf("http://localhost:%d/metrics", p.admin),
		ShopURL:    fmt.Sprintf("http://localhost:%d", p.shop),
	}
	s := seeder{opts: o, ports: p}
	var err error
	if m.Users, err = s.seedUsers(ctx); err != nil {
		return nil, "", err
	}
	if m.Clients, err = s.seedClients(ctx); err != nil {
		return nil, "", err
	}
	if err := s.seedUsersService(ctx); err != nil {
		return nil, "", err
	}
	secret, err := s.seedWebhook(ctx)
	return m, secret, err
}

// serve starts the processes in the order in which they need each other, and
// stops them in the opposite order, each with time to finish what it has begun.
func serve(ctx context.Context, o options, p ports, m *manifest, webhookSecret string, out io.Writer) error {
	group, groupCtx := errgroup.WithContext(ctx)
	var stops []func()
	defer func() {
		for i := len(stops) - 1; i >= 0; i-- {
			stops[i]()
		}
	}()
	start := func(s step) error {
		stepCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		ended := make(chan struct{})
		stops = append(stops, func() { cancel(); <-ended })
		group.Go(func() error {
			defer close(ended)
			return s.process.supervise(stepCtx)
		})
		return s.wait(groupCtx)
	}
	for _, s := range steps(o, p, m, webhookSecret) {
		if err := start(s); err != nil {
			if cause := context.Cause(groupCtx); cause != nil && ctx.Err() == nil {
				return cause // the process itself says more than the wait for it
			}
			return err
		}
	}
	if err := errors.Join(m.write(o.data), writeEnvironment(o.data, edgeEnv(o, p, m))); err != nil {
		return err
	}
	defer func() { _ = removeManifest(o.data) }() // if it stays, the next start removes it
	report(out, o, m)
	<-groupCtx.Done()
	if ctx.Err() == nil {
		return context.Cause(groupCtx)
	}
	fmt.Fprintln(out, "\nStopping.")
	return nil
}

// step is a process and how to know that it can be used.
type step struct {
	process process
	ready   string // URL
	caCert  string // trusted for the URL, once the file is there
}

// wait asks until the answer is a 2xx.
func (s step) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	var last error
	for {
		if last = s.ask(ctx); last == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w; see %s", s.process.name, last, s.process.log)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (s step) ask(ctx context.Context) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.ready, nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("GET %s: %s", s.ready, res.Status)
	}
	return nil
}

// client trusts the edge's own authority, whose certificate the edge makes at its first start.
func (s step) client() (*http.Client, error) {
	transport := &http.Transport{DisableKeepAlives: true}
	if s.caCert != "" {
		pem, err := os.ReadFile(s.caCert)
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", s.caCert)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	return &http.Client{Transport: transport, Timeout: 5 * time.Second}, nil
}
