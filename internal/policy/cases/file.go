package cases

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// File is a file of cases.
type File struct {
	Name  string
	Cases []*Case
}

// Case is requests that are sent one after the other, to an edge that knows nothing yet.
type Case struct {
	File  string
	Line  int
	Name  string
	Steps []*Step
}

// Step is a request and what has to come of it, or a wait.
type Step struct {
	Line    int
	Wait    time.Duration
	Request *Request // nil: a wait
	Expect  Expect
}

// Request is what is sent.
type Request struct {
	Method      string
	URL         string
	Header      http.Header
	Body        string
	Address     netip.Addr
	Certificate string
	Untrusted   bool
	Server      string
	Token       *Token // nil: none
	Scheme      string // of Authorization; empty: what the token needs
	Proof       Proof
	Repeat      int
	After       int
	Service     Service
}

// Token is the access token that a request brings.
type Token struct {
	Line      int
	Raw       string // sent as it is; the rest says nothing then
	Issuer    string // empty: the only one of the configuration
	Audience  []string
	Scope     []string
	Client    string
	User      string
	Algorithm string
	Opaque    bool
	Inactive  bool // the issuer does not know it
	SignedBy  string
	Expires   time.Duration // from now
	LoggedIn  *time.Duration
	ACR       string
	Details   []any
	DPoP      string // the key that it is bound to
	Bound     string // the certificate that it is bound to
	Claims    map[string]any
	Without   []string
	Header    map[string]any
}

// Proof is what is wrong with a DPoP proof; nothing in the zero value.
type Proof struct {
	None   bool
	Again  bool // the one of the request before
	Key    string
	Method string
	URL    string
	Token  string
	Age    time.Duration
	Nonce  *string // nil: the one that the edge has given out last
}

// Expect is what has to come.
type Expect struct {
	Line       int
	Status     int
	Connection Connection
	Reason     *string // empty: none
	Type       string
	API        *string // empty: none
	Upstream   string
	Forwarded  *bool
	Answered   *bool
	Challenge  string
	Remaining  map[string]int
	Header     map[string]*string // nil: must not be there
	Service    map[string]*string // of the request that the service got
}

// Read reads a file.
func Read(name string) (*File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxFile {
		return nil, fmt.Errorf("%s: larger than %d octets", name, maxFile)
	}
	return Parse(name, content)
}

// yamlLine is where YAML says what is wrong.
var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// Parse reads the text of a file.
func Parse(name string, content []byte) (*File, error) {
	var root yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	err := decoder.Decode(&root)
	if errors.Is(err, io.EOF) || err == nil && len(root.Content) == 0 {
		return nil, fmt.Errorf("%s: no cases", name)
	}
	if err != nil {
		text, line := err.Error(), "1"
		if found := yamlLine.FindStringSubmatch(text); found != nil {
			text = text[len(found[0]):]
			if found[1] != "" {
				line = found[1]
			}
		}
		return nil, fmt.Errorf("%s:%s: not YAML: %s", name, line, text)
	}
	var second yaml.Node
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: more than one YAML document", name)
	}
	p := &fileReader{reader: reader{file: name}, file: &File{Name: name}, tokens: make(map[string]*Token)}
	return p.file, p.read(root.Content[0])
}

// fileReader reads what a file means.
type fileReader struct {
	reader
	file    *File
	base    string
	address netip.Addr
	tokens  map[string]*Token
}

// documentation is an address of nobody (RFC 5737).
var documentation = netip.MustParseAddr("192.0.2.1")

func (p *fileReader) read(n *yaml.Node) error {
	p.address = documentation
	var list *yaml.Node
	var tokens *yaml.Node
	err := p.mapping(n, "file", fields{
		"base":   p.text("base", &p.base),
		"tokens": func(n *yaml.Node) error { tokens = n; return nil },
		"cases":  func(n *yaml.Node) error { list = n; return nil },
	})
	if err != nil {
		return err
	}
	if tokens != nil {
		if err := p.readTokens(tokens); err != nil {
			return err
		}
	}
	if list == nil {
		return p.fail(n, "no cases")
	}
	if err := p.list(list, "cases", p.readCase); err != nil {
		return err
	}
	if len(p.file.Cases) == 0 {
		return p.fail(list, "no cases")
	}
	return nil
}

func (p *fileReader) readTokens(n *yaml.Node) error {
	return p.members(n, "tokens", func(key, value *yaml.Node) error {
		if key.Value == "none" {
			return p.fail(key, "tokens: none means that there is no token")
		}
		t, err := p.readToken(value)
		p.tokens[key.Value] = t
		return err
	})
}

func (p *fileReader) readCase(n *yaml.Node) error {
	n, err := p.resolve(n)
	if err != nil {
		return err
	}
	c := &Case{File: p.file.Name, Line: n.Line}
	var steps, request, expect *yaml.Node
	err = p.mapping(n, "case", fields{
		"name":    p.text("name", &c.Name),
		"steps":   func(n *yaml.Node) error { steps = n; return nil },
		"request": func(n *yaml.Node) error { request = n; return nil },
		"expect":  func(n *yaml.Node) error { expect = n; return nil },
	})
	switch {
	case err != nil:
		return err
	case strings.TrimSpace(c.Name) == "":
		return p.fail(n, "a case needs a name")
	case (steps == nil) == (request == nil && expect == nil):
		return p.fail(n, "case %q: want request and expect, or steps", c.Name)
	}
	for _, other := range p.file.Cases {
		if other.Name == c.Name {
			return p.fail(n, "case %q is there twice, first on line %d", c.Name, other.Line)
		}
	}
	if steps == nil {
		err = p.addStep(c, n, request, expect)
	} else {
		err = p.list(steps, "steps", func(n *yaml.Node) error { return p.readStep(c, n) })
	}
	if err != nil {
		return err
	}
	if c.waits() > 10*maxWait {
		return p.fail(n, "case %q waits for more than ten years", c.Name)
	}
	if !slices.ContainsFunc(c.Steps, func(s *Step) bool { return s.Request != nil }) {
		return p.fail(n, "case %q sends no request", c.Name)
	}
	p.file.Cases = append(p.file.Cases, c)
	return nil
}

func (c *Case) waits() (all time.Duration) {
	for _, s := range c.Steps {
		if all += s.Wait; all > 10*maxWait {
			break
		}
	}
	return all
}

func (p *fileReader) readStep(c *Case, n *yaml.Node) error {
	n, err := p.resolve(n)
	if err != nil {
		return err
	}
	var wait time.Duration
	var waits, request, expect *yaml.Node
	err = p.mapping(n, "step", fields{
		"wait":    func(n *yaml.Node) error { waits = n; return p.duration("wait", &wait)(n) },
		"request": func(n *yaml.Node) error { request = n; return nil },
		"expect":  func(n *yaml.Node) error { expect = n; return nil },
	})
	switch {
	case err != nil:
		return err
	case waits == nil:
		return p.addStep(c, n, request, expect)
	case request != nil || expect != nil:
		return p.fail(n, "step: wait is a step of its own")
	case wait <= 0:
		return p.fail(waits, "wait: time goes forwards alone")
	}
	c.Steps = append(c.Steps, &Step{Line: n.Line, Wait: wait})
	return nil
}

func (p *fileReader) addStep(c *Case, n, request, expect *yaml.Node) error {
	if request == nil || expect == nil {
		return p.fail(n, "want request and expect")
	}
	s := &Step{Line: n.Line}
	var err error
	if s.Request, err = p.readRequest(request); err != nil {
		return err
	}
	if s.Expect, err = p.readExpect(expect); err != nil {
		return err
	}
	c.Steps = append(c.Steps, s)
	return nil
}
