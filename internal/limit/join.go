package limit

// A busy subject whose units have run out has many requests at once, and a fetch of more
// units under way for all of them. They wait for that one rather than ask each for itself.

// flies says whether units are under way for all debits that this node knows nothing of.
func (t *touch) flies(debits []Debit, know *[MaxDebits]known) bool {
	for i := range debits {
		if know[i] != knownNothing {
			continue
		}
		if it := t.items[i]; it == nil || it.value.lease == nil || it.value.lease.wanted == 0 {
			return false
		}
	}
	return true
}

// joins says whether a decision asks nothing and waits for what others have asked.
func (p *pending) joins() bool { return len(p.asks) == 0 }

// join has a decision wait for the fetches that are under way for its limits: it is woken
// by the first that lands, and at once where none is left.
func (e *Engine) join(p *pending) {
	t := &p.touch
	e.lock(t)
	defer e.unlock(t)
	waits := false
	for i := range p.debits {
		if it := t.items[i]; it != nil && it.value.lease != nil && it.value.lease.wanted > 0 {
			it.value.lease.waiting = append(it.value.lease.waiting, p)
			waits = true
		}
	}
	if !waits {
		p.wake()
	}
}

// landed notes that nothing is under way any more, whatever came of it. The shard is locked.
func (l *lease) landed() {
	l.wanted = 0
	for _, p := range l.waiting {
		p.wake()
	}
	l.waiting = nil
}
