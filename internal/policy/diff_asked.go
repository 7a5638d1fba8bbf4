package policy

import "slices"

// asked compares which services get the request, though others answer in their place: what
// a payment service is asked to do is done, whatever the caller is told then.
func (d *differ) asked(j job, r *Request, was, is *Outcome) {
	if len(was.Asked)+len(is.Asked) == 0 {
		return
	}
	before, after := was.services(r), is.services(r)
	for n, now := range after {
		then := counterpart(after, n, before)
		switch {
		case now == is && (then == nil || then == was): // is compared already
		case then != nil:
			d.demands(r, then, now, "a service whose answer is handled ")
			d.askedOtherwise(r, then, now)
			if r.failure.by == nil {
				d.limits(j, r, then, now)
			}
		case was.Admits() || !is.Admits(): // or it is wider as it is
			what := "a service is asked that was not"
			if slices.ContainsFunc(before, now.sameService) {
				what = "a service is asked once more"
			}
			d.admit(Widened, r, was, is, now, what+", whatever is answered then")
		}
	}
	for n, then := range before {
		if then == was || counterpart(before, n, after) != nil {
			continue
		}
		what := "a service is not asked any more"
		if slices.ContainsFunc(after, then.sameService) {
			what = "a service is asked once less"
		}
		if is.Admits() {
			d.admit(Widened, r, was, is, is, what+", which could refuse")
		} else {
			d.admit(Narrowed, r, was, is, then, what+", whatever is answered then")
		}
	}
}

// told compares what only the edge knows and answers have in them: also a refusal tells it.
func (d *differ) told(r *Request, was, is *Outcome) {
	mayMore, mayLess := r.failure.by == nil || is.failed, r.failure.by == nil || was.failed
	more, less := missing(whatOf(is.tells), whatOf(was.tells)), missing(whatOf(was.tells), whatOf(is.tells))
	if len(more) > 0 && mayMore {
		d.admit(Widened, r, was, is, is, "the answer has "+more[0]+" in it")
	}
	if len(less) > 0 && mayLess {
		d.admit(Narrowed, r, was, is, was, "the answer does not have "+less[0]+" in it any more")
	}
	for _, now := range is.tells {
		if mayMore && !slices.Contains(more, now.what) && !slices.Contains(was.tells, now) {
			d.admit(Widened, r, was, is, is, "whether the answer has "+now.what+" in it is decided otherwise")
			return
		}
	}
}

func whatOf(all []telling) (what []string) {
	for _, one := range all {
		what = append(what, one.what)
	}
	return what
}

// askedOtherwise compares what one service is asked.
func (d *differ) askedOtherwise(r *Request, then, now *Outcome) {
	c := wayDiff{old: d.old, new: d.new, request: r, was: then.way, is: now.way}
	c.line(now.Kind)
	c.fields()
	c.settings()
	c.passed()
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
// once, of the same time. What is done twice is not what is done once.
func counterpart(all []*Outcome, n int, others []*Outcome) *Outcome {
	skip := 0
	for _, o := range all[:n] {
		if o.sameService(all[n]) {
			skip++
		}
	}
	for _, o := range others {
		if !o.sameService(all[n]) {
			continue
		}
		if skip == 0 {
			return o
		}
		skip--
	}
	return nil
}

func (o *Outcome) sameService(other *Outcome) bool {
	return o.Kind == other.Kind && slices.Equal(o.Upstreams, other.Upstreams)
}
