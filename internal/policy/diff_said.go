package policy

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// words compares what the caller is told: by somebody else than who was asked, where
// intercept has it so.
func (c *wayDiff) words() {
	said := *c
	said.was, said.is, said.found = c.was.words(), c.is.words(), nil
	said.answer()
	if said.was != c.was || said.is != c.is {
		if before, after := ownAnswer(said.was), ownAnswer(said.is); (before == nil) != (after == nil) {
			said.add(Moved, "answer", "is answered by another handler", said.was.by.String(), said.is.by.String())
		}
		said.responses()
		said.passed()
	}
	c.found = append(c.found, said.found...)
}

// answer compares what is done to the fields of the answer.
func (c *wayDiff) answer() {
	if slices.Equal(c.was.answer, c.is.answer) {
		return
	}
	before, after := missing(c.was.answer, c.is.answer), missing(c.is.answer, c.was.answer)
	direction, what := Moved, "the answer has other header fields"
	if sharesAnswer(strings.Join(slices.Concat(before, after), " ")) {
		direction, what = Widened, whoReads
	}
	c.addText(direction, "answer", what, strings.Join(before, " "), strings.Join(after, " "), maskFields(before), maskFields(after))
}

const whoReads = "who may read the answer from other origins is another"

// sharesAnswer says whether fields are named that say which other origins' pages may read an
// answer: that is said there and nowhere else (Fetch, 3.2).
func sharesAnswer(text string) bool {
	return strings.Contains(strings.ToLower(text), "access-control-")
}

// maskFields is what is done to fields of an answer, for a reader.
func maskFields(changes []string) string {
	var all []string
	for _, change := range changes {
		leaves := leavesOf(json.RawMessage(change))
		if leaves == nil {
			all = append(all, change)
		}
		for _, name := range slices.Sorted(maps.Keys(leaves)) {
			all = append(all, name+" "+mask(name, leaves[name]))
		}
	}
	return strings.Join(all, ", ")
}

// status compares those that handlers put in the place of the service's.
func (c *wayDiff) status(before, after int) {
	shown := func(status int) string {
		if status == 0 {
			return "the service's"
		}
		return strconv.Itoa(status)
	}
	if before != after {
		c.add(Moved, "status", "is answered with another status", shown(before), shown(after))
	}
}
