package limit

import "time"

// counter holds the counts of one subject under one limit. Its zero value is empty.
// It is the limiter's arithmetic, free of locks, clocks and stores; sliding.lua is
// the same in Redis.
type counter struct {
	buckets []bucket // ascending
	used    int64    // their sum
}

type bucket struct {
	index int64
	count uint32
}

// advance forgets what no longer counts at the time and gives the current bucket.
// The newest bucket is the floor: a clock that went back refills nothing.
func (c *counter) advance(g grid, now int64) int64 {
	current := max(now, 0) / g.width
	if n := len(c.buckets); n > 0 {
		current = max(current, c.buckets[n-1].index)
	}
	gone := 0
	for gone < len(c.buckets) && c.buckets[gone].index <= current-g.span {
		c.used -= int64(c.buckets[gone].count)
		gone++
	}
	if gone > 0 {
		c.buckets = c.buckets[:copy(c.buckets, c.buckets[gone:])]
	}
	return current
}

// debit counts one unit in the bucket, which advance gave.
func (c *counter) debit(current int64) {
	c.used++
	if n := len(c.buckets); n > 0 && c.buckets[n-1].index == current {
		c.buckets[n-1].count++
		return
	}
	c.buckets = append(c.buckets, bucket{index: current, count: 1})
}

// undo takes the last debit back.
func (c *counter) undo() {
	c.used--
	last := len(c.buckets) - 1
	c.buckets[last].count--
	if c.buckets[last].count == 0 {
		c.buckets = c.buckets[:last]
	}
}

// wait gives the time until a unit more than now is free: for a limit that is
// reached, until one fits, and else until the oldest one comes back.
func (c *counter) wait(l *Limit, now int64) time.Duration {
	need := max(c.used+1-l.events, 1)
	for _, b := range c.buckets {
		need -= int64(b.count)
		if need <= 0 {
			return time.Duration(l.grid.leaves(b.index)-now) * time.Microsecond
		}
	}
	return 0
}

// leaves gives the time from which a bucket no longer counts.
func (g grid) leaves(index int64) int64 { return (index + g.span) * g.width }
