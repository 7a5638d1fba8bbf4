package policy

import (
	"context"
	"fmt"
)

// textFinder keeps what was found for sets of conditions: hosts have most of theirs in
// common. All of them together may take only so long.
type textFinder struct {
	ctx   context.Context // of the comparison
	known map[string]foundTexts
	work  int // that is left
}

type foundTexts struct {
	all   []string
	whole bool
}

// maxWork bounds the beginnings of texts that are looked at for one set of conditions,
// allWork those of a comparison; leastWork is for each set, whatever is left.
const (
	maxWork   = 20_000
	allWork   = 5 * maxWork
	leastWork = 500
)

func newTextFinder(ctx context.Context) *textFinder {
	return &textFinder{ctx: ctx, known: make(map[string]foundTexts), work: allWork}
}

func (t *textFinder) of(conditions []condition, l letters) (all []string, whole bool) {
	key := fmt.Sprintf("%t %t %t %t %#v", l.path, l.inner, l.escaped, l.allowed('/'), conditions)
	if found, ok := t.known[key]; ok {
		return found.all, found.whole
	}
	work := max(leastWork, min(maxWork, t.work))
	all, whole, left := textsOf(t.ctx, conditions, l, work)
	t.work -= work - left
	t.known[key] = foundTexts{all, whole}
	return all, whole
}
