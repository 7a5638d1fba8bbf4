// Command baselines is other limiters behind the same plain proxy, for `make limits` to
// measure beside the edge. It is a module of its own, so that what they need is no
// dependency of Tollgate.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/envoyproxy/ratelimit/src/service_cmd/runner"
	"github.com/envoyproxy/ratelimit/src/settings"
)

// limiter says whether a request of the key is within the limit of the name.
type limiter interface {
	allow(ctx context.Context, name, key string) (bool, error)
}

// limit is a number of events in a window.
type limit struct {
	events int
	window time.Duration
}

// limits are read from name=events/window.
type limits map[string]limit

// String implements flag.Value.
func (l limits) String() string { return fmt.Sprint(map[string]limit(l)) }

// Set implements flag.Value.
func (l limits) Set(text string) error {
	name, rest, _ := strings.Cut(text, "=")
	events, window, ok := strings.Cut(rest, "/")
	n, err := strconv.Atoi(events)
	if !ok || err != nil {
		return errors.New("want name=events/window")
	}
	d, err := time.ParseDuration(window)
	l[name] = limit{n, d}
	return err
}

func main() {
	known := make(limits)
	serve := flag.Bool("serve", false, "run envoyproxy's rate limit service, configured by the environment")
	listen := flag.String("listen", "", "`address` of this node")
	backend := flag.String("backend", "", "`URL` behind it")
	redisRate := flag.String("redis-rate", "", "ask redis_rate with the Redis at this `address`")
	envoy := flag.String("envoy", "", "ask the rate limit service at this `address`")
	flag.Var(known, "limit", "`name=events/window`, any number of times")
	flag.Parse()
	if *serve {
		r := runner.NewRunner(settings.NewSettings())
		r.Run()
		return
	}
	if err := run(*listen, *backend, *redisRate, *envoy, known); err != nil {
		log.SetOutput(os.Stderr)
		log.Fatal(err)
	}
}

func run(listen, backend, redisRate, envoy string, known limits) error {
	target, err := url.Parse(backend)
	if err != nil {
		return err
	}
	var l limiter
	if redisRate != "" {
		l = newRedisRate(redisRate, known)
	} else if l, err = newEnvoy(envoy); err != nil {
		return err
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: &http.Transport{MaxIdleConns: 1024, MaxIdleConnsPerHost: 256},
	}
	server := &http.Server{Addr: listen, Handler: handler(l, known, proxy), ReadHeaderTimeout: time.Minute}
	return server.ListenAndServe()
}

// handler asks for the paths that have a limit.
func handler(l limiter, known limits, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/")
		if name == "" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		if _, limited := known[name]; !limited {
			next.ServeHTTP(w, r)
			return
		}
		ok, err := l.allow(r.Context(), name, r.Header.Get("Client"))
		switch {
		case err != nil:
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		case !ok:
			w.WriteHeader(http.StatusTooManyRequests)
		default:
			next.ServeHTTP(w, r)
		}
	})
}
