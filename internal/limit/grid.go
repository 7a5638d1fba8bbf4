package limit

import "time"

// grid cuts time, in microseconds, into numbered buckets: all of one width, or the
// months of the calendar.
type grid struct {
	width int64 // of a bucket
	span  int64 // how many buckets are summed, the current one included
	month bool
}

// newGrid makes the grid of a window. lease is the longest time that may pass
// between a debit and the spending of what was debited: a decision has to look
// back that much further.
func newGrid(window, lease time.Duration) grid {
	m := buckets(window, lease)
	width := ceilDiv(window.Microseconds(), m)
	return grid{width: width, span: m + 1 + leaseBuckets(lease, width)}
}

// leaseBuckets is the term of the span that covers what was debited and is not spent yet.
func leaseBuckets(lease time.Duration, width int64) int64 {
	return ceilDiv(lease.Microseconds(), width)
}

// buckets gives m, the number of buckets that make a window. It depends on the
// window alone, so that a changed number of events keeps the counts. More buckets
// give units back sooner and cost memory: with 100 a unit is at most 1 % late, and in
// Redis a full key fits the compact encoding of a small hash (512 fields). Of a window of
// a second or less a lease takes 6 % already: there a bucket is half a percent. It is
// never shorter than a millisecond.
func buckets(window, lease time.Duration) int64 {
	most := int64(100)
	if lease > 0 && window <= time.Second {
		most = 200
	}
	return min(most, int64(window/time.Millisecond))
}

func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }

// index gives the bucket of a time.
func (g grid) index(now int64) int64 {
	now = max(now, 0)
	if !g.month {
		return now / g.width
	}
	t := time.UnixMicro(now).UTC()
	return int64(t.Year()-1970)*12 + int64(t.Month()) - 1
}

// leaves gives the time from which a bucket no longer counts.
func (g grid) leaves(index int64) int64 {
	if !g.month {
		return (index + g.span) * g.width
	}
	next := index + g.span
	return time.Date(1970, time.Month(next+1), 1, 0, 0, 0, 0, time.UTC).UnixMicro()
}
