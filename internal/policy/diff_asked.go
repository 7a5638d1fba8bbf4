package policy

import "slices"

// asked compares which services get the request, though others answer in their place: what
// a payment service is asked to do is done, whatever the caller is told then.
func (d *differ) asked(r *Request, was, is *Outcome) {
	if len(was.Asked)+len(is.Asked) == 0 {
		return
	}
	before, after := was.services(r), is.services(r)
	pairs := map[[2]*Outcome]bool{{was, is}: true} // that is compared already
	compare := func(then, now *Outcome) {
		if pair := [2]*Outcome{then, now}; !pairs[pair] {
			pairs[pair] = true
			d.demands(r, then, now, "a service whose answer is handled ")
			d.askedOtherwise(r, then, now)
		}
	}
	for n, now := range after {
		then := counterpart(after, n, before)
		switch {
		case then != nil:
			compare(then, now)
		case now != is && (was.Admits() || !is.Admits()): // otherwise it is wider as it is
			d.admit(Widened, r, was, is, now, "a service is asked that was not, whatever is answered then")
		}
	}
	for n, then := range before {
		now := counterpart(before, n, after)
		switch {
		case now != nil:
			compare(then, now)
		case then == was:
		case is.Admits():
			d.admit(Widened, r, was, is, is, "a service is not asked any more, which could refuse")
		default:
			d.admit(Narrowed, r, was, is, then, "a service is not asked any more, whatever is answered then")
		}
	}
}

// askedOtherwise compares what one service is asked.
func (d *differ) askedOtherwise(r *Request, then, now *Outcome) {
	c := wayDiff{old: d.old, new: d.new, request: r, was: then.way, is: now.way}
	c.line(now.Kind)
	c.fields()
	c.settings()
	for n := range c.found {
		c.found[n].part, c.found[n].what = "asked "+c.found[n].part, "a service whose answer is handled: "+c.found[n].what
	}
	d.parts(&c, then, now)
}

// services gives the request's outcome as each of the services would have it that get it,
// the one that answers first. Of a request that fails on its way, those that get it then.
func (o *Outcome) services(r *Request) (all []*Outcome) {
	if o.Reaches() && (r.failure.by == nil || o.failed) {
		all = append(all, o)
	}
	for _, a := range o.Asked {
		if r.failure.by == nil || a.then.failed {
			all = append(all, &a.then)
		}
	}
	return all
}

// counterpart gives the outcome of the same service in others: if it is asked more than
// once, of the same time, or of the last.
func counterpart(all []*Outcome, n int, others []*Outcome) (found *Outcome) {
	same := func(o *Outcome) bool { return o.Kind == all[n].Kind && slices.Equal(o.Upstreams, all[n].Upstreams) }
	skip := 0
	for _, o := range all[:n] {
		if same(o) {
			skip++
		}
	}
	for _, o := range others {
		if !same(o) {
			continue
		}
		if found = o; skip == 0 {
			return found
		}
		skip--
	}
	return found
}
