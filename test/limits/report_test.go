package limits

import (
	"fmt"
	"io"
	"runtime"
	"text/tabwriter"
	"time"
)

// report prints what was measured: a table of the windows, and one of the costs.
func report(out io.Writer, results []result) {
	fmt.Fprintf(out, "\n%s, %d cores, %d nodes, one Redis, %v of load\n\n", runtime.Version(), runtime.NumCPU(), nodes, *length)
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "limiter\tlimit\tload\tsent\tadmitted\tRedis late\tof an exact log\tworst window\tof the limit\tcertain\t")
	for _, r := range results {
		for _, o := range r.keys {
			fmt.Fprintf(w, "%s\t%d/%s\t%s\t%d\t%d\t%d\t%.3f\t%d\t%.3f\t%.3f\t\n", r.name, o.limit.events, o.limit.window, o.kind,
				len(o.sent), o.admitted, o.late(), o.share(), o.worst,
				float64(o.worst)/float64(o.limit.events), float64(o.proven)/float64(o.limit.events))
		}
	}
	_ = w.Flush() // standard output is gone: nobody to tell
	fmt.Fprintln(out)
	w = tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "limiter\tworst window\tRedis calls a request\tbusy minute\tbusy second\tat a second and node\tadded p50\tp99\tstrict p50\tp99\tRedis p50\tp99\trequests a second\tof no limit\t")
	for _, r := range results {
		var most float64
		for _, o := range r.keys {
			most = max(most, float64(o.worst)/float64(o.limit.events))
		}
		fmt.Fprintf(w, "%s\t%.3f\t%.4f\t%.4f\t%.4f\t%.0f\t%s\t%s\t%s\t%s\t%s\t%s\t%.0f\t%.2f\t\n", r.name, most, r.calls, r.busyCalls, r.fastCalls, r.fastRate,
			micros(r.leased.p50), micros(r.leased.p99), micros(r.strict.p50), micros(r.strict.p99),
			micros(r.redis.at(.5)), micros(r.redis.at(.99)), r.perSecond, r.throughput)
	}
	_ = w.Flush()
}

func micros(d time.Duration) string { return fmt.Sprintf("%d µs", d.Microseconds()) }
