package limits

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// clock is what sends and arrivals are read on.
var began = time.Now()

func clock() time.Duration { return time.Since(began) }

// stream is the load on one key of one limit.
type stream struct {
	limit   limit
	key     string
	kind    string  // for the report: "above, on and off"
	rate    float64 // a second, while on
	on, off time.Duration
	weights [nodes]float64 // the nodes' parts of the load
	workers int            // connections to each node
}

// isOn says whether the stream sends at this time of the run.
func (s stream) isOn(at time.Duration) bool { return s.off == 0 || at%(s.on+s.off) < s.on }

// tally is what a stream has sent and what came of it.
type tally struct {
	stream
	mu       sync.Mutex
	sent     []time.Duration
	accepted int
	denied   int
	others   map[int]int // by status
}

func (t *tally) add(at time.Duration, status int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sent = append(t.sent, at)
	switch status {
	case http.StatusOK:
		t.accepted++
	case http.StatusTooManyRequests:
		t.denied++
	default:
		if t.others == nil {
			t.others = make(map[int]int)
		}
		t.others[status]++
	}
}

// run sends the streams' load to the nodes for a while.
func run(ctx context.Context, t *testing.T, addrs []string, streams []stream, length time.Duration) []*tally {
	t.Helper()
	group, ctx := errgroup.WithContext(ctx)
	var tallies []*tally
	start := clock()
	for _, s := range streams {
		result := &tally{stream: s}
		tallies = append(tallies, result)
		for node, addr := range addrs {
			if s.weights[node] > 0 {
				group.Go(func() error { return result.drive(ctx, addr, s.weights[node], start, length) })
			}
		}
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	return tallies
}

// drive is the part of a stream that goes to one node: due requests are handed to
// whichever connection is free. Where none is, the load is what the node can take.
func (t *tally) drive(ctx context.Context, addr string, weight float64, start, length time.Duration) error {
	due := make(chan struct{}, 4*t.workers)
	group, ctx := errgroup.WithContext(ctx)
	for range t.workers {
		group.Go(func() error {
			c, err := dial(addr)
			if err != nil {
				return err
			}
			defer c.close()
			for range due {
				at := clock()
				status, err := c.get(t.limit.name, t.key, at)
				if err != nil {
					return fmt.Errorf("%s at %s: %w", t.limit.name, addr, err)
				}
				t.add(at, status)
			}
			return nil
		})
	}
	t.schedule(ctx, due, t.rate*weight, start, length)
	close(due)
	return group.Wait()
}

// schedule hands requests out at the rate, in steps that the system's timers can keep.
func (t *tally) schedule(ctx context.Context, due chan<- struct{}, rate float64, start, length time.Duration) {
	const step = 2 * time.Millisecond
	tick := time.NewTicker(step)
	defer tick.Stop()
	owed, last := 1.0, clock() // the first at once
	for {
		now := clock()
		if now-start >= length {
			return
		}
		if t.isOn(now - start) {
			owed += rate * (now - last).Seconds()
		}
		last = now
		for ; owed >= 1; owed-- {
			select {
			case due <- struct{}{}:
			default: // the node is as busy as it can be
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// conn is one keep-alive connection to a node. It is as thin as can be, so that the
// machine's time goes to the edges.
type conn struct {
	net.Conn
	addr string
	in   *bufio.Reader
	out  []byte
}

func dial(addr string) (*conn, error) {
	c := &conn{addr: addr}
	return c, c.connect()
}

func (c *conn) connect() (err error) {
	if c.Conn, err = net.Dial("tcp", c.addr); err != nil {
		return err
	}
	c.in = bufio.NewReaderSize(c.Conn, 4<<10)
	return nil
}

func (c *conn) close() { _ = c.Close() }

// sentHeader carries the time of sending to the recorder.
const sentHeader = "Sent"

// get sends a request, counted for the key, and gives its answer's status.
func (c *conn) get(path, key string, at time.Duration) (status int, err error) {
	c.out = append(c.out[:0], "GET /"...)
	c.out = append(c.out, path...)
	c.out = append(c.out, " HTTP/1.1\r\nHost: localhost\r\nClient: "...)
	c.out = append(c.out, key...)
	c.out = append(c.out, "\r\n"+sentHeader+": "...)
	c.out = strconv.AppendInt(c.out, int64(at), 10)
	c.out = append(c.out, "\r\n\r\n"...)
	res, err := c.exchange()
	if err != nil && res == nil && ended(err) {
		// A server that stops closes connections that idle, as HTTP lets it: the request
		// was not read, and goes over another one.
		c.close()
		if err = c.connect(); err == nil {
			res, err = c.exchange()
		}
	}
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}

func (c *conn) exchange() (*http.Response, error) {
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return nil, err
	}
	if _, err := c.Write(c.out); err != nil {
		return nil, err
	}
	return http.ReadResponse(c.in, nil)
}

// ended says whether the connection was closed before an answer began.
func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// latencies are the times of answers, of one path.
type latencies []time.Duration

func (l latencies) at(share float64) time.Duration {
	if len(l) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(l))
	return sorted[int(float64(len(sorted)-1)*share)]
}

// probe measures paths against each other: one caller a node, who takes them in turns,
// so that whatever else the machine does falls on all of them. keys gives the key of
// the n-th request.
func probe(ctx context.Context, t *testing.T, addrs, paths []string, keys func(node, n int) string, length time.Duration) map[string]latencies {
	t.Helper()
	var mu sync.Mutex
	all := make(map[string]latencies)
	group, _ := errgroup.WithContext(ctx)
	deadline := clock() + length
	for node, addr := range addrs {
		group.Go(func() error {
			c, err := dial(addr)
			if err != nil {
				return err
			}
			defer c.close()
			mine := make(map[string]latencies)
			for n := 0; clock() < deadline; n++ {
				path := paths[n%len(paths)]
				at := clock()
				if status, err := c.get(path, keys(node, n), at); err != nil || status != http.StatusOK {
					return fmt.Errorf("%s: %d %w", path, status, err)
				}
				mine[path] = append(mine[path], clock()-at)
				time.Sleep(200 * time.Microsecond) // a pace, not a wait: load without a queue
			}
			mu.Lock()
			defer mu.Unlock()
			for path, times := range mine {
				all[path] = append(all[path], times...)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	return all
}

// saturate gives how many requests a second the nodes answer together.
func saturate(ctx context.Context, t *testing.T, addrs []string, path string, length time.Duration) float64 {
	t.Helper()
	var mu sync.Mutex
	total := 0
	group, _ := errgroup.WithContext(ctx)
	start := clock()
	for _, addr := range addrs {
		for range 8 {
			group.Go(func() error {
				c, err := dial(addr)
				if err != nil {
					return err
				}
				defer c.close()
				n := 0
				for ; clock()-start < length; n++ {
					status, err := c.get(path, "everybody", clock())
					if err != nil {
						return fmt.Errorf("%s: %w", path, err)
					}
					// A machine that is busy with other tests may keep Redis's answer beyond the deadline.
					if status != http.StatusOK && (full() || status != http.StatusServiceUnavailable) {
						return fmt.Errorf("%s: %d", path, status)
					}
				}
				mu.Lock()
				defer mu.Unlock()
				total += n
				return nil
			})
		}
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	return float64(total) / (clock() - start).Seconds()
}
