package printable

import (
	"errors"
	"strings"
	"testing"
)

func TestText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                          "",
		"äöü 東京 /a?b=c":             "äöü 東京 /a?b=c",
		"a\nb\r\tc":                 `a\nb\r\tc`,
		"\x1b[2J\x07\x7f\u0085\x00": `\x1b[2J\a\x7f\u0085\x00`,
		"\u202eabc\u2066\u200b":     `\u202eabc\u2066\u200b`,
		"\x9b2J":                    "\ufffd2J",
		"it's":                      "it's",
	} {
		if got := Text(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := Page("a\n\tb\x1b\r"); got != "a\n\tb\\x1b\\r" {
		t.Errorf("%q", got)
	}
}

type named string

func TestFprintf(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	Fprintf(&b, "%s %s %d %v %q\n", "a\n", named("b\n"), 7, errors.New("c\n"), "d\n")
	if got, want := b.String(), `a\n b\n 7 c\n "d\\n"`+"\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestMarkdown(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain text, https://x.test/a": "plain text, https://x.test/a",
		"a|b\n<img src=x>":             `a\|b\\n&#60;img src=x&#62;`,
		"[x](y) `z` @team *b* &amp;":   "\\[x\\](y) \\`z\\` \\@team \\*b\\* &#38;amp;",
	} {
		if got := Markdown(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]string{"a b": "`a b`", "a`b": "`` a`b ``", "a``": "``` a`` ```", "a|b": "`a\\|b`", "a\nb": "`a\\nb`"} {
		if got := Code(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
