// Package printable keeps what others wrote from steering who reads it: a configuration may have
// anything in a name or a path, and a terminal, a log and a page take some of it for orders.
package printable

import (
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"unicode"
)

// Text has an escape in place of each character that could end a line, steer a terminal or
// turn the direction of what is read.
func Text(text string) string { return escaped(text, "") }

// Page is Text for a text of lines, which stay.
func Page(text string) string { return escaped(text, "\n\t") }

func escaped(text, but string) string {
	text = strings.ToValidUTF8(text, "\ufffd")
	hidden := func(r rune) bool { return !unicode.IsPrint(r) && !strings.ContainsRune(but, r) }
	if !strings.ContainsFunc(text, hidden) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if hidden(r) {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Fprintf is fmt.Fprintf with Text of each text that is put into the format. What has lines
// of its own is written by several calls.
func Fprintf(w io.Writer, format string, args ...any) {
	for n, arg := range args {
		switch arg := arg.(type) {
		case fmt.Stringer:
			args[n] = Text(arg.String())
		case error:
			args[n] = Text(arg.Error())
		default:
			if v := reflect.ValueOf(arg); v.Kind() == reflect.String {
				args[n] = Text(v.String())
			}
		}
	}
	_, _ = fmt.Fprintf(w, format, args...) // writers keep their error, or are memory
}

// Markdown is Text in which nothing is markup, for a cell of a table as well.
func Markdown(text string) string {
	var b strings.Builder
	for _, r := range Text(text) {
		switch {
		case strings.ContainsRune("&<>", r):
			fmt.Fprintf(&b, "&#%d;", r)
		case strings.ContainsRune("\\`*_~[]#|@", r):
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Code is Text as a code span of Markdown, in a cell of a table as well.
func Code(text string) string {
	text = strings.ReplaceAll(Text(text), "|", `\|`)
	longest, run := 0, 0
	for _, r := range text {
		if run++; r != '`' {
			run = 0
		}
		longest = max(longest, run)
	}
	fence := strings.Repeat("`", longest+1)
	if longest > 0 {
		return fence + " " + text + " " + fence
	}
	return fence + text + fence
}
