package cases

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/open-tollgate/tollgate/internal/printable"
)

// WriteText tells the result: what is not shown, the cases that failed, with all of them
// also the others, and the sums. What somebody looks for first is at the end.
func (r *Result) WriteText(w io.Writer, all bool) error {
	var b strings.Builder
	missing := r.Coverage.Missing()
	if len(missing) > 0 {
		printable.Fprintf(&b, "not shown by any case:\n")
		for _, line := range missing {
			printable.Fprintf(&b, "  %s\n", line)
		}
	}
	for _, o := range r.Outcomes {
		switch {
		case o.Failure != nil:
			printable.Fprintf(&b, "FAIL  %s:%d  %s\n", o.Case.File, o.Case.Line, o.Case.Name)
			o.Failure.write(&b, o.Case)
		case all:
			printable.Fprintf(&b, "ok    %s:%d  %s\n", o.Case.File, o.Case.Line, o.Case.Name)
		}
	}
	shown, of := r.Coverage.Shown()
	printable.Fprintf(&b, "%d cases, %d failed; %d of %d ways through the rules shown, %.1f %%\n", len(r.Outcomes), r.Failed(), shown, of, r.Coverage.Percent())
	_, err := io.WriteString(w, b.String())
	return err
}

func (f *Failure) write(b *strings.Builder, c *Case) {
	which := ""
	if len(c.Steps) > 1 {
		which = fmt.Sprintf("step %d, ", f.Step)
	}
	printable.Fprintf(b, "  %sline %d: %s\n", which, f.Line, f.Request)
	if f.Repeat > 0 {
		printable.Fprintf(b, "  when it was sent for the %d. time\n", f.Repeat)
	}
	printable.Fprintf(b, "  expected  %s\n", strings.Join(f.Expected, ", "))
	if len(f.Came) > 0 {
		printable.Fprintf(b, "  came      %s\n", strings.Join(f.Came, ", "))
	}
	for _, line := range f.Differs {
		printable.Fprintf(b, "  differs   %s\n", line)
	}
	for _, line := range f.Logged {
		printable.Fprintf(b, "  logged    %s\n", line)
	}
	if f.Explained == nil {
		return
	}
	var text strings.Builder
	_ = f.Explained.WriteText(&text) // to memory
	fmt.Fprint(b, "  the policy, asked about that request alone (as \"policy explain\"):\n")
	for line := range strings.Lines(text.String()) {
		fmt.Fprintf(b, "    %s", line) // made for people already
	}
}

// The elements of JUnit's XML, as CI systems read it.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Time     string      `xml:"time,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		File    string        `xml:"file,attr"`
		Line    int           `xml:"line,attr"`
		Time    string        `xml:"time,attr"`
		Failure *junitFailure `xml:"failure"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// WriteJUnit writes the result as JUnit's XML, a suite for each file.
func (r *Result) WriteJUnit(w io.Writer) error {
	all := junitSuites{Tests: len(r.Outcomes), Failures: r.Failed()}
	var took time.Duration
	for _, o := range r.Outcomes {
		if n := len(all.Suites); n == 0 || all.Suites[n-1].Name != o.Case.File {
			all.Suites, took = append(all.Suites, junitSuite{Name: o.Case.File}), 0
		}
		suite := &all.Suites[len(all.Suites)-1]
		c := junitCase{Name: o.Case.Name, Class: o.Case.File, File: o.Case.File, Line: o.Case.Line, Time: seconds(o.Took)}
		if f := o.Failure; f != nil {
			var text strings.Builder
			f.write(&text, o.Case)
			c.Failure = &junitFailure{Message: strings.Join(f.Differs, "; "), Text: text.String()}
			suite.Failures++
		}
		took += o.Took
		suite.Tests++
		suite.Time, suite.Cases = seconds(took), append(suite.Cases, c)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
