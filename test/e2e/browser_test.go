package e2e

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// browser is a person's browser without JavaScript: cookies, redirects, forms.
type browser struct {
	t      *testing.T
	client *http.Client
	stopAt string // redirects to URLs that start so are not followed
}

func newBrowser(t *testing.T, d *demo) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, client: d.http(t)}
	b.client.Jar = jar
	b.client.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if (b.stopAt != "" && strings.HasPrefix(req.URL.String(), b.stopAt)) || len(via) > 20 {
			return http.ErrUseLastResponse
		}
		return nil
	}
	return b
}

// redirect is where the page sends the browser that stopped there.
func (p *page) redirect() *url.URL {
	p.b.t.Helper()
	to, err := p.url.Parse(p.header.Get("Location"))
	if err != nil || p.header.Get("Location") == "" {
		p.b.t.Fatalf("%s answers %d and redirects nowhere:\n%s", p.url, p.status, p.text)
	}
	return to
}

// page is what the browser shows.
type page struct {
	b      *browser
	url    *url.URL
	status int
	header http.Header
	text   string
	root   *html.Node
}

func (b *browser) get(rawURL string) *page {
	b.t.Helper()
	res, err := b.client.Get(rawURL)
	return b.show(res, err)
}

func (b *browser) show(res *http.Response, err error) *page {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	root, err := html.Parse(strings.NewReader(string(body)))
	if err != nil {
		b.t.Fatal(err)
	}
	return &page{b: b, url: res.Request.URL, status: res.StatusCode, header: res.Header, text: string(body), root: root}
}

// submit fills the form that has the button with the given text (or test id) and presses it.
func (p *page) submit(button string, fields url.Values) *page {
	p.b.t.Helper()
	press := find(p.root, func(n *html.Node) bool {
		return n.Data == "button" && (attr(n, "data-testid") == button || attr(n, "value") == button || strings.TrimSpace(textOf(n)) == button)
	})
	if press == nil {
		p.b.t.Fatalf("no button %q on %s:\n%s", button, p.url, p.text)
	}
	form := press
	for form != nil && form.Data != "form" {
		form = form.Parent
	}
	if form == nil {
		p.b.t.Fatalf("the button %q is in no form", button)
	}
	values := formValues(form)
	if name := attr(press, "name"); name != "" {
		values.Set(name, attr(press, "value"))
	}
	for name, v := range fields {
		values[name] = v
	}
	action, err := p.url.Parse(attr(form, "action"))
	if err != nil {
		p.b.t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, action.String(), strings.NewReader(values.Encode()))
	if err != nil {
		p.b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", p.url.Scheme+"://"+p.url.Host)
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	res, err := p.b.client.Do(req)
	return p.b.show(res, err)
}

// formValues are what the form sends as it stands.
func formValues(form *html.Node) url.Values {
	values := url.Values{}
	each(form, func(n *html.Node) {
		name := attr(n, "name")
		switch {
		case name == "":
		case n.Data == "input" && (attr(n, "type") == "radio" || attr(n, "type") == "checkbox"):
			if has(n, "checked") {
				values.Add(name, attr(n, "value"))
			}
		case n.Data == "input":
			values.Set(name, attr(n, "value"))
		case n.Data == "select":
			if option := find(n, func(o *html.Node) bool { return o.Data == "option" }); option != nil {
				values.Set(name, attr(option, "value"))
			}
		}
	})
	return values
}

// asksForLogin tells whether this is the page that wants a password.
func (p *page) asksForLogin() bool {
	return find(p.root, func(n *html.Node) bool { return attr(n, "name") == "password" }) != nil
}

// element finds by data-testid.
func (p *page) element(testID string) *html.Node {
	return find(p.root, func(n *html.Node) bool { return attr(n, "data-testid") == testID })
}

func each(n *html.Node, visit func(*html.Node)) {
	visit(n)
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		each(c, visit)
	}
}

func find(n *html.Node, match func(*html.Node) bool) *html.Node {
	if n.Type == html.ElementNode && match(n) {
		return n
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		if found := find(c, match); found != nil {
			return found
		}
	}
	return nil
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, name string) bool {
	for _, a := range n.Attr {
		if a.Key == name {
			return true
		}
	}
	return false
}

func textOf(n *html.Node) string {
	var b strings.Builder
	each(n, func(n *html.Node) {
		if n.Type == html.TextNode {
			b.WriteString(n.Data)
		}
	})
	return b.String()
}
