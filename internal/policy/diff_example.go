package policy

import (
	"regexp"
	"slices"
)

// made is a field, or a part of the URL, after what handlers have done to it that is not followed.
var made = regexp.MustCompile(`\{what is in [^{}]* after `)

// example looks for a request of which something else comes out of the one text than of the
// other. Nil: none of those that are tried shows it.
func (c *wayDiff) example(before, after string) *Request {
	if made.MatchString(before + after) {
		return nil
	}
	variants, _ := c.variants("", field{values: []string{before}}, field{values: []string{after}})
	for _, r := range variants {
		was, is := c.was.seen(r), c.is.seen(r)
		fill := func(r *Request, text string) string { return placeholder.ReplaceAllStringFunc(text, r.fillSent) }
		if areUnlike(fill(was, before), fill(is, after)) {
			return r
		}
	}
	return nil
}

// addText adds texts that are told to callers, and are others as they are written.
func (c *wayDiff) addText(direction Direction, part, what string, before, after, shownBefore, shownAfter string) {
	r := c.example(before, after)
	if r == nil {
		what += ", in a way that is not analysed"
	}
	c.add(direction, part, what, shownBefore, shownAfter)
	c.found[len(c.found)-1].shown = r
}

// areUnlike says whether two texts are others whatever their placeholders stand for: the same
// one for the same in both.
func areUnlike(before, after string) bool {
	a, b := tokens(before), tokens(after)
	for range 2 { // from either end
		for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
			a, b = a[1:], b[1:]
		}
		if len(a) > 0 && len(b) > 0 && isLetter(a[0]) && isLetter(b[0]) {
			return true
		}
		slices.Reverse(a)
		slices.Reverse(b)
	}
	return len(a) == 0 && slices.ContainsFunc(b, isLetter) || len(b) == 0 && slices.ContainsFunc(a, isLetter)
}

// tokens are the placeholders of a text, and the bytes between them.
func tokens(text string) (all []string) {
	rest := 0
	letters := func(end int) {
		for ; rest < end; rest++ {
			all = append(all, text[rest:rest+1])
		}
	}
	for _, at := range placeholder.FindAllStringIndex(text, -1) {
		letters(at[0])
		all, rest = append(all, text[at[0]:at[1]]), at[1]
	}
	letters(len(text))
	return all
}

func isLetter(token string) bool { return len(token) == 1 }
