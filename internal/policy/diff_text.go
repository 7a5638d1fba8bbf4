package policy

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// WriteText tells the changes for people.
func (d *DiffResult) WriteText(w io.Writer) error {
	var b strings.Builder
	if len(d.Changes) == 0 && d.Complete {
		fmt.Fprintf(&b, "no difference found: no request is judged otherwise, of %d samples\n", d.Atoms)
	}
	if !d.Complete {
		b.WriteString("incomplete: not everything could be compared, and what was not may be wider\n")
	}
	for _, c := range d.Changes {
		if c.Method == "" {
			fmt.Fprintf(&b, "%s  setting: %s%s\n    old: %s\n    new: %s\n    at: %s\n", c.Direction, c.of(), c.What, c.Old, c.New, c.Rule.At)
			continue
		}
		fmt.Fprintf(&b, "%s  %s%s\n    for example %s %s%s\n    with %s\n%s    old: %s\n    new: %s\n    rule: %s %s\n",
			c.Direction, c.of(), c.What, c.Method, c.URL, c.extra(), c.Token, c.often(), c.Old, c.New, c.Rule.What, c.Rule.At)
	}
	d.writeLimits(&b, "")
	d.writeName(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

// of says whose change it is.
func (c *Change) of() string {
	if c.API == "" && c.Method == "" {
		return ""
	}
	return "api " + c.API + ": "
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
		all[n] = printable(all[n])
	}
	return unique(all)
}

// printable has an escape in place of what could end a line of a log, or steer a terminal:
// a configuration may have anything in a path or a name.
func printable(text string) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}

// Brief tells the change in a line that can be in a log: with the names of fields and
// parameters of its example, and not their values, which the configuration may mean to
// be secret.
func (c *Change) Brief() string { return printable(c.brief()) }

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
	if len(c.Header) > 0 {
		text += ", with fields " + strings.Join(slices.Sorted(maps.Keys(c.Header)), " ")
	}
	return text + c.series() + ", from " + c.Address + ", with " + c.Token
}

func (c *Change) extra() string {
	text := ""
	for name, values := range c.Header {
		text += fmt.Sprintf(" %s: %s", name, strings.Join(values, ", "))
	}
	return text + " from " + c.Address
}

// often says how often the request has to be sent, and who lets the last one in.
func (c *Change) often() string {
	if c.Series == nil {
		return ""
	}
	admits := "new"
	if c.Direction == Narrowed {
		admits = "old"
	}
	return fmt.Sprintf("    sent %s: the last one is let in by the %s configuration alone\n", c.Series, admits)
}

func (c *Change) series() string {
	if c.Series == nil {
		return ""
	}
	return ", sent " + c.Series.String()
}

func (d *DiffResult) writeLimits(b *strings.Builder, bullet string) {
	for _, open := range d.Open {
		fmt.Fprintf(b, "%snot analysed, and counted as open: %s\n", bullet, open)
	}
	for _, cut := range d.Cut {
		fmt.Fprintf(b, "%stoo many ways to follow all of them: %s\n", bullet, cut)
	}
}

// writeName tells how reload_guard is told that the change is meant.
func (d *DiffResult) writeName(b *strings.Builder) {
	if d.Opens() || d.Has(Moved) {
		fmt.Fprintf(b, "\nTo load the new one where reload_guard is on, write into its reload_guard: allow %s\n", d.After)
	}
}

// WriteMarkdown tells the changes for a pull request.
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
	cell := func(text string) string { return strings.NewReplacer("|", `\|`, "\n", " ").Replace(text) }
	for _, c := range d.Changes {
		if c.Method == "" {
			fmt.Fprintf(&b, "| **%s** | %s | %s | no single request | | %s | %s |\n", c.Direction, c.API, cell(c.What), cell(c.Old), cell(c.New))
			continue
		}
		fmt.Fprintf(&b, "| **%s** | %s | %s | `%s %s` | %s | %s | %s |\n",
			c.Direction, c.API, cell(c.What), c.Method, cell(c.URL), cell(c.Token+c.series()), cell(c.Old), cell(c.New))
	}
	b.WriteString("\n")
	d.writeLimits(&b, "- ")
	d.writeName(&b)
	_, err := io.WriteString(w, b.String())
	return err
}
