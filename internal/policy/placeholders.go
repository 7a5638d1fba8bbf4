package policy

import (
	"net"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// replacePlaceholders has a text with what f gives for the name of each placeholder, as
// Caddy's replacer finds them; where f does not know it, the placeholder stays.
func replacePlaceholders(text string, f func(name string) (value string, known bool)) string {
	return replaceFilled(text, func(name string) (string, bool) {
		value, known := f(name)
		return literal(value), known
	})
}

// replaceFilled is replacePlaceholders with what has been filled in already: a placeholder in
// that goes on being one.
func replaceFilled(text string, f func(name string) (value string, known bool)) string {
	if !strings.ContainsAny(text, "{}") {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) && (text[i+1] == '{' || text[i+1] == '}') {
			i++
			b.WriteString(literal(text[i : i+1]))
			continue
		}
		if text[i] == '{' {
			if name, _, closed := strings.Cut(text[i+1:], "}"); closed {
				if value, known := f(name); known {
					b.WriteString(value)
				} else {
					b.WriteString("{" + name + "}")
				}
				i += len(name) + 1
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// Braces that are no placeholder's are others meanwhile, since texts are filled in twice:
// by the walk, and by the request when it is complete.
var (
	literals = strings.NewReplacer("{", "\x01", "}", "\x02")
	plains   = strings.NewReplacer("\x01", "{", "\x02", "}")
)

func literal(text string) string { return literals.Replace(text) }
func plain(text string) string   { return plains.Replace(text) }

// fill puts in what placeholders stand for as far as configuration and walk decide it.
// What the request alone decides stays, and so does what is not known: it is equal in two
// texts where it means the same.
func (w *walk) fill(text string) string {
	return w.asSet(replaceFilled(text, w.decided))
}

// fillIn is fill for JSON, in which braces are more than placeholders.
func (w *walk) fillIn(text string) string {
	return placeholder.ReplaceAllStringFunc(text, func(name string) string { return inJSON.Replace(w.fill(name)) })
}

// inJSON is for a part of a text in JSON.
var inJSON = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// know puts in all of it, and asks the request. It says whether nothing is left.
func (w *walk) know(text string) (string, bool) {
	sure := true
	return w.knowAll(text, &sure), sure
}

func (w *walk) knowAll(text string, sure *bool) string {
	return plain(replacePlaceholders(text, func(name string) (string, bool) { return w.sure(name, sure) }))
}

// sure gives the value of a placeholder, and notes one whose value is not known.
func (w *walk) sure(name string, all *bool) (string, bool) {
	value, known := w.value(name)
	known = known && value != "{"+name+"}"
	*all = *all && known
	return value, known
}

// decided gives what a placeholder stands for, filled in, where it is not the request alone that
// decides it.
func (w *walk) decided(name string) (string, bool) {
	if field, ok := strings.CutPrefix(name, "http.request.header."); ok {
		return w.decidedField(canonicalField(field), name)
	}
	if cookie, ok := strings.CutPrefix(name, "http.request.cookie."); ok {
		return w.decidedCookie(cookie, name)
	}
	switch name {
	case "http.request.host", "http.request.hostport":
		if w.staleHost {
			return "", false
		}
		f := w.fields.now(w, "Host")
		if w.hostBefore != nil {
			f = *w.hostBefore
		}
		host, known := w.decidedOf(f, "Host", name)
		if name == "http.request.host" && !hasPlaceholder(host) {
			host = hostname(host)
		}
		return host, known
	case "http.request.method":
		return w.method, w.methodSet && !w.staleMethod
	case "http.vars.client_ip", "http.request.remote.host":
		return "", false
	}
	if text, told := w.told(name); told {
		return literal(text), true
	}
	if w.unset(name) {
		return literal("{" + name + "}"), true // Caddy does not know it there, and leaves it as it is
	}
	if strings.HasPrefix(name, "http.request.uri") && len(w.rewrites) > 0 {
		return notFollowed(name, "after", strings.Join(w.rewrites, " ")), true
	}
	value, known := w.value(name)
	return literal(value), known && value != "{"+name+"}"
}

// notFollowed stands for what handlers have made of what a placeholder is for. Nobody fills it in.
func notFollowed(name, how, made string) string {
	return "{what is in " + name + " " + how + " " + literal(made) + "}"
}

// unset says whether nothing has set the placeholder.
func (w *walk) unset(name string) bool {
	if strings.HasPrefix(name, capturePrefix) {
		_, found := w.capture(name)
		return !found && len(w.out.Open) == 0 // what was not analysed may have matched
	}
	return strings.HasPrefix(name, "http.auth.") && !w.identified || name == "http.api.name" && w.out.API == ""
}

// isNil says whether it stands for nothing at all, which is not an empty text.
func (w *walk) isNil(name string) bool {
	variable, isVar := strings.CutPrefix(name, "http.vars.")
	_, set := w.vars[variable]
	return w.unset(name) || isVar && !set && !slices.Contains(ownVars, variable)
}

// decidedField gives a field that is no more what was sent.
func (w *walk) decidedField(field, placeholder string) (string, bool) {
	return w.decidedOf(w.fields.now(w, field), field, placeholder)
}

// decidedCookie gives a cookie of a field that is no more what was sent.
func (w *walk) decidedCookie(cookie, placeholder string) (string, bool) {
	now := w.fields.now(w, "Cookie")
	lines, exact := now.values, !now.sent && len(now.ops) == 0
	if r := w.complete(); r != nil {
		lines, exact = now.resolve(r.sentIn("Cookie"), r)
	}
	switch {
	case exact && !hasPlaceholder(plain(strings.Join(lines, ""))):
		return literal(cookieOf(lines, cookie)), true
	case now.equals(field{sent: true}):
		return "", false
	default:
		return notFollowed(placeholder, "of", now.String()), true
	}
}

// cookieOf takes one as Caddy does; nothing where there is none.
func cookieOf(lines []string, name string) string {
	sent := http.Request{Header: http.Header{"Cookie": lines}}
	for _, c := range sent.Cookies() {
		if strings.EqualFold(c.Name, name) {
			return c.Value
		}
	}
	return ""
}

func (w *walk) decidedOf(f field, field, placeholder string) (string, bool) {
	if r := w.complete(); r != nil {
		if values, exact := f.resolve(r.sentIn(field), r); exact {
			return literal(strings.Join(values, ",")), true
		}
	}
	switch {
	case f.sent && len(f.ops) == 0:
		return "", false
	case f.sent || len(f.ops) > 0:
		return notFollowed(placeholder, "after", f.String()), true
	default:
		return strings.Join(f.values, ","), true
	}
}

// fillSent puts in what the request alone decides. For that it has to be complete.
func (r *Request) fillSent(text string) string {
	return replacePlaceholders(text, func(name string) (string, bool) {
		if field, ok := strings.CutPrefix(name, "http.request.header."); ok {
			return strings.Join(r.Header[canonicalField(field)], ","), true
		}
		switch name {
		case "http.request.host":
			return hostname(r.Host), true
		case "http.request.hostport":
			return r.Host, true
		case "http.request.method":
			return r.Method, true
		case "http.vars.client_ip":
			return addressText(r.client), !r.unsure
		case "http.request.remote.host":
			return addressText(r.Remote), true
		default:
			return "", false
		}
	})
}

// sentIn gives the values of a field of a request that is complete.
func (r *Request) sentIn(field string) []string {
	if field == "Host" {
		return []string{r.Host}
	}
	return r.Header[field]
}

func hostname(hostport string) string {
	if !strings.Contains(hostport, ":") {
		return hostport // nearly all, and each walk asks
	}
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return hostport
}

// uriValue gives what a placeholder takes from method and URL as they are now, or were.
func (w *walk) uriValue(name string) (value string, ok bool) {
	rest, isURI := strings.CutPrefix(name, "http.request.uri")
	if !isURI {
		return "", false
	}
	switch rest {
	case "":
		w.query()
		return w.url.RequestURI(), true
	case ".path":
		return w.url.Path, true
	case ".path.dir":
		dir, _ := path.Split(w.url.Path)
		return dir, true
	case ".path.file":
		_, file := path.Split(w.url.Path)
		return file, true
	case ".query":
		return w.query(), true
	case ".prefixed_query":
		if query := w.query(); query != "" {
			return "?" + query, true
		}
		return "", true
	}
	if key, ok := strings.CutPrefix(rest, ".query."); ok {
		return strings.Join(w.parameter(key), ","), true
	}
	if index, ok := strings.CutPrefix(rest, ".path."); ok {
		return pathSegment(w.url.Path, index)
	}
	return "", false
}

// pathSegment gives one by its number, counted from none.
func pathSegment(p, index string) (string, bool) {
	n, err := strconv.Atoi(index)
	if err != nil || n < 0 {
		return "", false
	}
	segments := strings.Split(strings.TrimPrefix(p, "/"), "/")
	if n >= len(segments) {
		return "", true
	}
	return segments[n], true
}

// captured is a regular expression that has matched a text.
type captured struct {
	by         *regexp.Regexp
	name, text string
}

// capture gives a group of an expression that has matched: http.regexp.NAME.GROUP, or
// without the name that of the last one.
func (w *walk) capture(name string) (value string, found bool) {
	rest := strings.TrimPrefix(name, capturePrefix)
	for _, c := range slices.Backward(w.captured) {
		if n, ok := (namedRegexp{c.by, c.name}).group(rest); ok {
			return c.by.FindStringSubmatch(c.text)[n], true // it has matched
		}
	}
	return "", false
}

const capturePrefix = "http.regexp."
