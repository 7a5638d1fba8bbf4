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
	more  int // the same, for conditions of what is filled in
}

type foundTexts struct {
	all   []string
	whole bool
}

// maxWork bounds the beginnings of texts that are looked at for one set of conditions,
// allWork those of a comparison; leastWork is for each set, whatever is left. Conditions of what
// is filled in meet those of all matchers: two thousand routes take so much.
const (
	maxWork   = 20_000
	moreWork  = 4 * maxWork
	allWork   = 5 * maxWork
	leastWork = 500
)

func newTextFinder(ctx context.Context) *textFinder {
	return &textFinder{ctx: ctx, known: make(map[string]foundTexts), work: allWork, more: allWork}
}

func (t *textFinder) of(conditions []condition, l letters) (all []string, whole bool) {
	return t.find(conditions, l, maxWork, &t.work)
}

// find does it with so much work, of what is left.
func (t *textFinder) find(conditions []condition, l letters, most int, left *int) (all []string, whole bool) {
	key := fmt.Sprintf("%t %t %t %t %#v", l.path, l.inner, l.escaped, l.allowed('/'), conditions)
	if found, ok := t.known[key]; ok {
		return found.all, found.whole
	}
	work := max(leastWork, min(most, *left))
	all, whole, rest := textsOf(t.ctx, conditions, l, work)
	*left -= work - rest
	t.known[key] = foundTexts{all, whole}
	return all, whole
}
