package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
)

// sample is what one turn of one edge gave.
type sample struct {
	perSecond float64
	p50, p99  time.Duration
	cpuMicros float64 // of the edge, a request
	mallocs   float64 // of the edge, a request
}

// upstreamHandler is the backend of both edges: small, and the same.
func upstreamHandler() http.Handler {
	body := []byte(`{"id":"01910000-0000-7000-8000-000000000000","status":"succeeded","amount":{"value":12350,"currency":"EUR"}}` + "\n")
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body) // the edge is gone: nobody to tell
	})
}

func serve(h http.Handler) (addr string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }() // ends with stop
	return l.Addr().String(), func() { _ = server.Close() }, nil
}

// measure loads one edge for a turn.
func measure(ctx context.Context, e *edge, requests [][]byte, s settings) (sample, error) {
	before, err := e.cost()
	if err != nil {
		return sample{}, err
	}
	deadline := time.Now().Add(s.duration)
	times := make([][]time.Duration, s.connections)
	group, _ := errgroup.WithContext(ctx)
	for i := range times {
		group.Go(func() error {
			var err error
			times[i], err = drive(e, requests, i, deadline)
			return err
		})
	}
	start := time.Now()
	if err := group.Wait(); err != nil {
		return sample{}, err
	}
	elapsed := time.Since(start)
	after, err := e.cost()
	if err != nil {
		return sample{}, err
	}
	all := slices.Concat(times...)
	slices.Sort(all)
	n := float64(len(all))
	return sample{
		perSecond: n / elapsed.Seconds(),
		p50:       all[len(all)/2], p99: all[len(all)*99/100],
		cpuMicros: (after.cpuSeconds - before.cpuSeconds) * 1e6 / n,
		mallocs:   (after.mallocs - before.mallocs) / n,
	}, nil
}

// drive is one connection: a request, its answer, the next. The client is as thin
// as can be, so that the machine's time goes to the edge.
func drive(e *edge, requests [][]byte, offset int, deadline time.Time) ([]time.Duration, error) {
	conn, err := tls.Dial("tcp", e.addr, e.tls)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	in := bufio.NewReaderSize(conn, 8<<10)
	times := make([]time.Duration, 0, 1<<14)
	for i := offset; ; i++ {
		start := time.Now()
		if start.After(deadline) {
			return times, nil
		}
		if _, err := conn.Write(requests[i%len(requests)]); err != nil {
			return nil, err
		}
		if err := readAnswer(in); err != nil {
			return nil, err
		}
		times = append(times, time.Since(start))
	}
}

func readAnswer(in *bufio.Reader) error {
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", res.Status, body)
	}
	return nil
}
