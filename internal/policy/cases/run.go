package cases

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/open-tollgate/tollgate/internal/policy"
	"github.com/open-tollgate/tollgate/internal/policy/mint"
)

// Runner runs cases.
type Runner struct {
	Config *policy.Config
	Mint   *mint.Mint
	// Open makes an edge; one for each of the Workers.
	Open    func() (Edge, error)
	Workers int
}

// Result is what came of all cases.
type Result struct {
	Outcomes []*Outcome
	Coverage *Coverage
}

// Outcome is what came of a case.
type Outcome struct {
	Case    *Case
	Took    time.Duration
	Failure *Failure // nil: it has passed
	met     []*Answer
}

// Failure is the first step of a case that went otherwise than expected.
type Failure struct {
	Step     int // from 1
	Line     int
	Repeat   int    // from 1, where the step repeats; otherwise 0
	Request  string // in words
	Expected []string
	Came     []string
	// Differs names what differs.
	Differs []string
	// Explained is what the model of the policy says of the request; nil where it was not asked.
	Explained *policy.Explanation
	Logged    []string
}

// Failed counts the cases that failed.
func (r *Result) Failed() (n int) {
	for _, o := range r.Outcomes {
		if o.Failure != nil {
			n++
		}
	}
	return n
}

// Run runs the cases of all files.
func (r *Runner) Run(files []*File) (*Result, error) {
	result := &Result{Coverage: NewCoverage(r.Config)}
	for _, f := range files {
		for _, c := range f.Cases {
			result.Outcomes = append(result.Outcomes, &Outcome{Case: c})
		}
	}
	queue := make(chan *Outcome)
	var wait sync.WaitGroup
	errs := make([]error, min(max(r.Workers, 1), len(result.Outcomes)))
	for n := range errs {
		wait.Add(1)
		go func() {
			defer wait.Done()
			errs[n] = r.work(queue)
			for range queue { // whoever cannot work lets the others end
			}
		}()
	}
	for _, o := range result.Outcomes {
		queue <- o
	}
	close(queue)
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	for _, o := range result.Outcomes {
		for _, m := range o.met {
			result.Coverage.add(m)
		}
	}
	return result, nil
}

func (r *Runner) work(queue <-chan *Outcome) error {
	edge, err := r.Open()
	if err != nil {
		return err
	}
	defer edge.Close()
	for o := range queue {
		start := time.Now()
		if err := edge.Begin(); err != nil {
			return err
		}
		o.Failure = r.run(edge, o)
		o.Took = time.Since(start)
	}
	return nil
}

func (r *Runner) run(edge Edge, o *Outcome) *Failure {
	c := &credentials{mint: r.Mint, config: r.Config, edge: edge, minted: make(map[*Token]*minted)}
	for n, s := range o.Case.Steps {
		if s.Request == nil {
			edge.Wait(s.Wait)
			continue
		}
		for repeat := range s.Request.Repeat {
			last := repeat == s.Request.Repeat-1
			f := r.send(c, s, o, last)
			if f == nil {
				continue
			}
			f.Step, f.Line = n+1, s.Line
			if s.Request.Repeat > 1 {
				f.Repeat = repeat + 1
			}
			return f
		}
	}
	return nil
}

// send sends the request of a step once.
func (r *Runner) send(c *credentials, s *Step, o *Outcome, last bool) *Failure {
	call, err := s.Request.call(r.Mint)
	var token *minted
	if err == nil {
		token, err = c.authorize(s.Request, call)
	}
	var answer *Answer
	if err == nil {
		answer, err = c.edge.Send(*call)
	}
	if err != nil {
		return &Failure{Request: s.Request.words(token), Expected: s.Expect.words(), Differs: []string{"it cannot be sent: " + err.Error()}}
	}
	c.learn(answer.Header)
	o.note(answer)
	differs := s.Expect.judge(answer, last)
	if len(differs) == 0 {
		return nil
	}
	f := &Failure{
		Request: s.Request.words(token), Expected: s.Expect.words(), Came: answer.words(), Differs: differs, Logged: answer.Met.Logged,
	}
	f.Explained = r.explain(s.Request, call, token)
	return f
}

// note keeps an answer for the coverage; the same once more says nothing new.
func (o *Outcome) note(a *Answer) {
	if n := len(o.met); n == 0 || !o.met[n-1].alike(a) {
		o.met = append(o.met, a)
	}
}

// alike says whether both have gone the same way.
func (a *Answer) alike(b *Answer) bool {
	return a.API == b.API && a.Reason == b.Reason && a.Met.RefusedBy == b.Met.RefusedBy &&
		slices.Equal(a.Met.Reached, b.Met.Reached) && maps.Equal(a.Met.Passed, b.Met.Passed) &&
		slices.EqualFunc(a.Met.Zones, b.Met.Zones, func(a, b Stand) bool {
			return a.API == b.API && a.Zone == b.Zone && a.Counted == b.Counted && a.Refused == b.Refused
		})
}

// explain asks the model, which knows no counts and no nonces.
func (r *Runner) explain(request *Request, call *Call, token *minted) *policy.Explanation {
	_, port, _ := net.SplitHostPort(call.Host)
	servers := r.Config.ServersFor(call.Secure, port)
	if len(servers) == 0 || token != nil && token.model == nil {
		return nil
	}
	m := modelRequest(request, call, token)
	e := &policy.Explanation{Method: request.Method, URL: request.URL}
	for _, server := range servers {
		e.Outcomes = append(e.Outcomes, r.Config.Evaluate(server, m, &policy.Judge{Now: r.now(request, token)})...)
	}
	return e
}

// now is a time at which the model finds the token as old as the edge did.
func (r *Runner) now(request *Request, token *minted) time.Time {
	if token == nil || token.model.Expires.IsZero() {
		return time.Now()
	}
	return token.model.Expires.Add(-request.Token.Expires)
}

// call makes the request, without its token.
func (r *Request) call(m *mint.Mint) (*Call, error) {
	secure, host, target, err := r.target()
	if err != nil {
		return nil, err
	}
	c := &Call{
		Method: r.Method, Secure: secure, Host: host, Target: target, Header: r.Header.Clone(), Body: r.Body, Address: r.Address,
		Untrusted: r.Untrusted, Server: r.Server, After: r.After, Service: r.Service,
	}
	if c.Header == nil {
		c.Header = make(http.Header)
	}
	if r.Certificate != "" {
		c.Certificate, err = m.Certificate(r.Certificate)
	}
	return c, err
}

// words tells the request to people.
func (r *Request) words(token *minted) string {
	text := r.Method + " " + r.URL
	switch {
	case r.Token == nil:
		text += " with no token"
	case r.Token.Raw != "":
		text += " with a token as the file has it"
	case token == nil || token.model == nil:
		text += " with a token that " + nobodys(r.Token.SignedBy) + " has signed"
	default:
		told := *token.model
		told.Claims = r.Token.Claims
		text += " with " + told.String()
	}
	if r.Certificate != "" {
		text += ", with the certificate " + r.Certificate
	}
	return text + ", from " + r.Address.String()
}

func nobodys(signer string) string {
	if signer == "" {
		return nobody
	}
	return signer
}

func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return host
}

func quoted(values []string) string {
	if len(values) == 0 {
		return "none"
	}
	return fmt.Sprintf("%q", strings.Join(values, ", "))
}
