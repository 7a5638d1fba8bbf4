package policy

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/open-tollgate/tollgate/internal/printable"
)

// WriteText tells the changes for people.
func (d *DiffResult) WriteText(w io.Writer) error {
	var b strings.Builder
	if len(d.Changes) == 0 && d.Complete {
		printable.Fprintf(&b, "no difference found: no request is judged otherwise, of %d samples\n", d.Atoms)
	}
	if !d.Complete {
		b.WriteString("incomplete: not everything could be compared, and what was not may be wider\n")
	}
	for _, c := range d.Changes {
		if c.Method == "" {
			printable.Fprintf(&b, "%s  setting: %s%s\n    old: %s\n    new: %s\n    at: %s\n", c.Direction, c.of(), c.What, c.Old, c.New, c.Rule.At)
			continue
		}
		printable.Fprintf(&b, "%s  %s%s\n    for example %s %s%s\n    with %s\n", c.Direction, c.of(), c.What, c.Method, c.URL, c.extra(), c.Token)
		if c.Series != nil {
			printable.Fprintf(&b, "    %s\n", c.often())
		}
		printable.Fprintf(&b, "    old: %s\n    new: %s\n    rule: %s %s\n", c.Old, c.New, c.Rule.What, c.Rule.At)
	}
	d.writeLimits(&b)
	d.writeCounts(&b, printable.Text)
	d.writeName(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

// of says whose change it is.
func (c *Change) of() string {
	switch {
	case c.API != "":
		return "api " + c.API + ": "
	case c.Method != "":
		return "outside any api: "
	default:
		return ""
	}
}

// BriefOpen names what was not analysed, or not followed, for a log: not what a matcher
// compares with, which may be meant to be secret.
func (d *DiffResult) BriefOpen() []string {
	var all []string
	for _, open := range d.Open {
		if rest, ok := strings.CutPrefix(open, "matcher "); ok {
			kind, _, _ := strings.Cut(rest, " ")
			open = "a matcher " + kind
		}
		all = append(all, "not analysed: "+open)
	}
	for _, cut := range d.Cut {
		target, _, _ := strings.Cut(cut, "?")
		all = append(all, "not followed to the end: "+target)
	}
	for n := range all {
		all[n] = brief(all[n])
	}
	return unique(all)
}

// Brief tells the change in a line that can be in a log: with the names of fields and
// parameters of its example, and not their values, which the configuration may mean to
// be secret.
func (c *Change) Brief() string { return brief(c.brief()) }

// maxBrief is how much of a line somebody reads.
const maxBrief = 1000

func brief(text string) string {
	if len(text) > maxBrief {
		text = text[:maxBrief] + "..."
	}
	return printable.Text(text)
}

func (c *Change) brief() string {
	text := c.of() + c.What
	if c.Method == "" {
		return text + ", at " + c.Rule.At
	}
	target, query, _ := strings.Cut(c.URL, "?")
	text += fmt.Sprintf(": for example %s %s", c.Method, target)
	if query != "" {
		text += ", with parameters " + strings.Join(slices.Sorted(maps.Keys(lenient(query))), " ")
	}
	return text + c.fields() + c.series() + ", from " + c.Address + ", with " + c.Token
}

func (c *Change) extra() string {
	text := ""
	for _, name := range slices.Sorted(maps.Keys(c.Header)) {
		text += fmt.Sprintf(" %s: %s", name, strings.Join(c.Header[name], ", "))
	}
	return text + " from " + c.Address
}

// often says how often the request has to be sent, and who lets the last one in.
func (c *Change) often() string {
	admits := "new"
	if c.Direction == Narrowed {
		admits = "old"
	}
	return fmt.Sprintf("sent %s: the last one is let in by the %s configuration alone", c.Series, admits)
}

func (c *Change) series() string {
	if c.Series == nil {
		return ""
	}
	return ", sent " + c.Series.String()
}

func (d *DiffResult) writeLimits(b *strings.Builder) {
	for _, open := range d.Open {
		printable.Fprintf(b, "not analysed, and counted as open: %s\n", open)
	}
	for _, cut := range d.cuts() {
		printable.Fprintf(b, "too many ways to follow all of them: %s\n", cut)
	}
}

// shownCuts is how many are written for people, who would not read thousands; the JSON has all.
const shownCuts = 20

func (d *DiffResult) cuts() []string {
	if len(d.Cut) <= shownCuts {
		return d.Cut
	}
	return append(slices.Clone(d.Cut[:shownCuts]), fmt.Sprintf("and %d others", len(d.Cut)-shownCuts))
}

// writeCounts sums up, behind what may be many pages.
func (d *DiffResult) writeCounts(b *strings.Builder, written func(string) string) {
	if len(d.Changes) > 0 {
		fmt.Fprintf(b, "\n%s\n", written(d.counts()))
	}
}

// Counts says how many changes there are in each direction, and of which APIs: those with
// the most first. It is a line for a log, as Brief is.
func (d *DiffResult) Counts() string { return brief(d.counts()) }

func (d *DiffResult) counts() string {
	var all []string
	for _, direction := range []Direction{Widened, Narrowed, Moved} {
		byAPI, count := make(map[string]int), 0
		for _, c := range d.Changes {
			if c.Direction == direction {
				count++
				byAPI[c.whose()]++
			}
		}
		if count == 0 {
			continue
		}
		var apis []string
		for _, name := range slices.SortedFunc(maps.Keys(byAPI), func(a, b string) int {
			return cmp.Or(byAPI[b]-byAPI[a], strings.Compare(a, b))
		}) {
			apis = append(apis, fmt.Sprintf("%s %d", name, byAPI[name]))
		}
		all = append(all, fmt.Sprintf("%d %s (%s)", count, direction, strings.Join(apis, ", ")))
	}
	return strings.Join(all, ", ")
}

func (c *Change) whose() string {
	switch {
	case c.API != "":
		return c.API
	case c.Method != "":
		return "outside any api"
	default:
		return "settings"
	}
}

// writeName tells how reload_guard is told that the change is meant.
func (d *DiffResult) writeName(b *strings.Builder) {
	if d.Opens() || d.Has(Moved) {
		b.WriteString("\n" + d.Allow.page())
	}
}

// WriteMarkdown tells the changes for a pull request. Values of fields may be secrets that
// come from the environment, and are left out.
func (d *DiffResult) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString("### What this changes at the edge\n\n")
	if !d.Complete {
		b.WriteString("**Incomplete**: not everything could be compared, and what was not may be wider.\n\n")
	}
	if len(d.Changes) == 0 && d.Complete {
		fmt.Fprintf(&b, "No difference found: no request is judged otherwise (%d compared).\n", d.Atoms)
	}
	if len(d.Changes) > 0 {
		b.WriteString("| | API | what | for example | with | before | after |\n|---|---|---|---|---|---|---|\n")
	}
	for _, c := range d.Changes {
		c.writeRow(&b)
	}
	b.WriteString("\n")
	for _, open := range d.Open {
		fmt.Fprintf(&b, "- not analysed, and counted as open: %s\n", printable.Code(open))
	}
	for _, cut := range d.cuts() {
		fmt.Fprintf(&b, "- too many ways to follow all of them: %s\n", printable.Code(cut))
	}
	d.writeCounts(&b, printable.Markdown)
	d.writeName(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func (c *Change) writeRow(b *strings.Builder) {
	example, with := "no single request", ""
	if c.Method != "" {
		example, with = printable.Code(c.Method+" "+c.URL), c.Token+c.series()+c.fields()+", from "+c.Address
	}
	fmt.Fprintf(b, "| **%s** | %s | %s | %s | %s | %s | %s |\n",
		c.Direction, printable.Markdown(c.API), printable.Markdown(c.What), example, printable.Markdown(with), printable.Markdown(c.Old), printable.Markdown(c.New))
}

// fields names those of the example, without their values.
func (c *Change) fields() string {
	if len(c.Header) == 0 {
		return ""
	}
	return ", with fields " + strings.Join(slices.Sorted(maps.Keys(c.Header)), " ")
}
