package policy

import (
	"slices"
	"strings"
)

// hostsOf gives hosts that stand for all others: two for each way in which matchers can
// tell hosts apart, since handlers can do something with the name itself. Where a handler sets the
// Host, what matchers see is another, and all that are named are there.
func hostsOf(t *textFinder, servers []*Server) (c *hostClasses, whole bool) {
	c = &hostClasses{known: make(map[string]int), seen: make(map[string]bool)}
	for _, s := range servers {
		c.visit(s.Routes)
		c.visit(s.Errors)
		for _, r := range s.Named {
			c.visit([]*Route{r})
		}
		c.all = c.all || s.setsHost && len(s.setHosts) == 0
		c.whole = c.whole || c.all || s.tellsPort
	}
	c.add(stranger + ".invalid")
	whole = !(c.replaces && len(c.matches) > 0)
	for _, name := range c.names {
		c.add(name)
	}
	switch {
	case len(c.fields) > 0:
		whole = c.addSentAs(t) && whole
	case c.wild:
		texts, all := t.of(append(c.conditions, condition{expr: "[^.]"}), letters{allowed: inHost}) // of two that are alike, not one that is refused
		for _, text := range texts {
			c.addNew(text)
		}
		whole = whole && all
	}
	c.hosts = unique(c.hosts)
	return c, whole
}

func inHost(r rune) bool {
	return r == '-' || r == '.' || r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r == '*'
}

// hostClasses gathers the matchers of hosts, and hosts by which of them match.
type hostClasses struct {
	all        bool // are kept
	whole      bool // handlers look at a Host with its port
	wild       bool // some of them are for names that are not written
	replaces   bool // a handler makes another of what was sent, text by text
	seen       map[string]bool
	names      []string
	ports      []string
	conditions []condition
	fields     []condition         // of the header field
	sites      []condition         // the same of matchers of hosts, for a Host with a port or brackets
	matches    []func(string) bool // of a Host as sent
	known      map[string]int
	hosts      []string
}

func (c *hostClasses) visit(routes []*Route) {
	for _, r := range routes {
		visitMatchers(r.Match, c.gather)
		for _, h := range r.Handlers {
			switch h := h.(type) {
			case *RateLimit:
				for _, z := range h.Zones {
					visitMatchers(z.Match, c.gather)
				}
			case *Headers:
				c.replaces = c.replaces || h.Request.replacesHost()
			}
			if outer, ok := h.(interface{ inner() [][]*Route }); ok {
				for _, inner := range outer.inner() {
					c.visit(inner)
				}
			}
		}
	}
}

func (c *hostClasses) gather(m Matcher) {
	switch m := m.(type) {
	case hostMatcher:
		for _, name := range namesOf(m) {
			c.names = append(c.names, strings.ToLower(name))
			c.addPorts(name)
		}
		c.wild = c.wild || slices.ContainsFunc(m, func(p string) bool { return strings.Contains(p, "*") })
		c.sites = append(c.sites, condition{expr: sitesExpression(m)})
		c.match(hostsExpression(m), func(host string) bool { return m.has(siteOf(host)) })
	case headerMatcher:
		for field, patterns := range m {
			if canonicalField(field) == "Host" {
				for _, name := range namesOf(patterns) {
					c.addSent(name)
				}
				c.matchField(valuesExpression(patterns), wantedOf(patterns))
			}
		}
	case headerRegexp:
		for field, compiled := range m {
			if canonicalField(field) == "Host" {
				c.matchField(compiled.String(), compiled.MatchString)
			}
		}
	}
}

// namesOf gives names that patterns stand for, which fields tell apart by the case of letters.
func namesOf(patterns []string) (all []string) {
	for _, p := range patterns {
		all = append(all, strings.ReplaceAll(p, "*", stranger))
	}
	return all
}

func (c *hostClasses) match(expr string, matches func(string) bool) {
	if !c.seen[expr] {
		c.seen[expr] = true
		c.conditions, c.matches = append(c.conditions, condition{expr: expr}), append(c.matches, matches)
	}
}

func (c *hostClasses) matchField(expr string, matches func(string) bool) {
	c.match(expr, matches)
	c.fields = append(c.fields, condition{expr: expr})
	c.addPorts(expr)
}

func (c *hostClasses) class(host string) string {
	var in []int
	for n, matches := range c.matches {
		if matches(host) {
			in = append(in, n)
		}
	}
	return keyOf(in)
}

// perClass is how many hosts stand for those that no matcher tells from them.
const perClass = 2

func (c *hostClasses) add(host string) {
	class := c.class(hostOf(host))
	if c.known[class]++; c.all || c.known[class] <= perClass {
		c.hosts = append(c.hosts, host)
	}
}

// addNew adds one that is like none of those that are there.
func (c *hostClasses) addNew(host string) {
	if class := c.class(host); host != "" && c.known[class] == 0 {
		c.known[class], c.hosts = 1, append(c.hosts, host)
	}
}
