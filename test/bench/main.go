// Command bench measures what the policy chain costs: an edge that checks the
// token, the scope and two limits and counts everything, against the same binary
// as a bare reverse_proxy, with the same upstream and the same load; and what the
// audit log costs beside that chain. All take turns in one run, because machines are
// noisy and only ratios last.
//
// Run it with `make bench`. On a machine with few cores the load generator and
// the upstream compete with the edge for them, which hides a part of any
// difference in requests a second; CPU time and allocations are the edge's alone.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

type settings struct {
	binary      string
	rounds      int
	duration    time.Duration // of one turn of one edge
	connections int
	failUnder   float64
}

func main() {
	var s settings
	flag.StringVar(&s.binary, "binary", "bin/tollgate", "the edge's `file`")
	flag.IntVar(&s.rounds, "rounds", 9, "turns of each edge")
	flag.DurationVar(&s.duration, "duration", 3*time.Second, "length of a turn")
	flag.IntVar(&s.connections, "connections", 32, "connections, each with one request under way")
	flag.Float64Var(&s.failUnder, "fail-under", 0, "fail when the ratio of requests a second is below this")
	flag.Parse()
	if err := run(context.Background(), s); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) error {
	dir, err := os.MkdirTemp("", "tollgate-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	upstream, stop, err := serve(upstreamHandler())
	if err != nil {
		return err
	}
	defer stop()
	issuer, err := newIssuer()
	if err != nil {
		return err
	}
	defer issuer.close()

	var edges []*edge
	for _, kind := range []string{"bare", "policy", "audited"} {
		e, err := startEdge(ctx, s.binary, filepath.Join(dir, kind), kind, upstream, issuer.url)
		if err != nil {
			return err
		}
		defer e.stop()
		edges = append(edges, e)
	}
	requests, err := issuer.requests(200)
	if err != nil {
		return err
	}
	fmt.Printf("%s, %d cores; %d rounds of %s, %d connections, HTTPS with keep-alive, %d tokens (ES256)\n\n",
		runtime.Version(), runtime.NumCPU(), s.rounds, s.duration, s.connections, len(requests))
	results := make(map[string][]sample)
	for round := range s.rounds + 1 {
		for i := range edges {
			e := edges[(i+round)%len(edges)] // none is always first
			got, err := measure(ctx, e, requests, s)
			if err != nil {
				return fmt.Errorf("%s: %w", e.kind, err)
			}
			if round > 0 { // the first one warms connections, caches and the heap
				results[e.kind] = append(results[e.kind], got)
			}
		}
	}
	ratio := report(os.Stdout, "bare", "policy", results)
	report(os.Stdout, "policy", "audited", results)
	if ratio < s.failUnder {
		return fmt.Errorf("the policy chain reaches %.2f of bare requests a second, less than %.2f", ratio, s.failUnder)
	}
	return nil
}
