package limit

import "sort"

// counter holds the counts of one subject in the buckets of a grid. Its zero value
// is empty.
type counter struct {
	buckets []bucket // ascending
	used    int64    // their sum
}

type bucket struct{ index, count int64 }

// advance forgets what no longer counts at the time and gives the current bucket.
// The newest bucket is the floor: a clock that went back refills nothing.
func (c *counter) advance(g grid, now int64) int64 {
	current := g.index(now)
	if n := len(c.buckets); n > 0 {
		current = max(current, c.buckets[n-1].index)
	}
	gone := 0
	for gone < len(c.buckets) && c.buckets[gone].index <= current-g.span {
		c.used -= c.buckets[gone].count
		gone++
	}
	if gone > 0 {
		c.buckets = c.buckets[:copy(c.buckets, c.buckets[gone:])]
	}
	return current
}

// debit counts units in a bucket, which is the current one almost always.
func (c *counter) debit(index, n int64) {
	c.used += n
	last := len(c.buckets) - 1
	if last >= 0 && c.buckets[last].index == index {
		c.buckets[last].count += n
		return
	}
	if last < 0 || c.buckets[last].index < index {
		c.buckets = append(c.buckets, bucket{index, n})
		return
	}
	i := c.find(index)
	if c.buckets[i].index == index {
		c.buckets[i].count += n
		return
	}
	c.buckets = append(c.buckets, bucket{})
	copy(c.buckets[i+1:], c.buckets[i:])
	c.buckets[i] = bucket{index, n}
}

// credit takes units out of a bucket again, as many as it holds at most.
func (c *counter) credit(index, n int64) {
	i := c.find(index)
	if i == len(c.buckets) || c.buckets[i].index != index {
		return
	}
	n = min(n, c.buckets[i].count)
	c.used -= n
	c.buckets[i].count -= n
	if c.buckets[i].count == 0 {
		c.buckets = append(c.buckets[:i], c.buckets[i+1:]...)
	}
}

// find gives the first bucket that is not before the index.
func (c *counter) find(index int64) int {
	return sort.Search(len(c.buckets), func(i int) bool { return c.buckets[i].index >= index })
}

// frees gives the time at which n units have come back, or zero when there are not as many.
func (c *counter) frees(g grid, n int64) int64 {
	for _, b := range c.buckets {
		if n -= b.count; n <= 0 {
			return g.leaves(b.index)
		}
	}
	return 0
}

// until gives the time from which nothing counts.
func (c *counter) until(g grid) int64 {
	if n := len(c.buckets); n > 0 {
		return g.leaves(c.buckets[n-1].index)
	}
	return 0
}
