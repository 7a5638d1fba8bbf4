package policy

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// settings compares who answers, and how that is set up.
func (c *wayDiff) settings() {
	switch was := c.was.by.(type) {
	case *Proxy:
		if is, ok := c.is.by.(*Proxy); ok {
			c.proxies(was, is)
		}
	case *FilesHandler:
		if is, ok := c.is.by.(*FilesHandler); ok {
			c.files(was, is)
		}
	case *Static, silent:
		c.responses()
	default:
		if is := c.is.by; was.String() != is.String() {
			c.add(Moved, "handler", "is answered by another handler", was.String(), is.String())
		}
	}
}

// proxyRules are for the members of reverse_proxy. What has to do with time, buffers and
// connections alone is not told.
var proxyRules = map[string]meaning{
	"handler": ignored, "flush_interval": ignored, "request_buffers": ignored, "response_buffers": ignored,
	"stream_timeout": ignored, "stream_buffer_size": ignored, "stream_close_delay": ignored, "verbose_logs": ignored,

	// Compared by what comes out for the request, or by themselves.
	"headers.request.add": ignored, "headers.request.set": ignored, "headers.request.delete": ignored, "headers.request.replace": ignored,
	"headers.response": ignored, "rewrite.method": ignored, "rewrite.uri": ignored, "rewrite.strip_path_prefix": ignored,
	"rewrite.strip_path_suffix": ignored, "rewrite.uri_substring": ignored, "rewrite.path_regexp": ignored, "rewrite.query": ignored,
	"upstreams.dial": ignored, "upstreams.max_requests": ignored, "trusted_proxies": ignored,
	"handle_response.routes": ignored, "handle_response.status_code": ignored,

	"dynamic_upstreams": moves, "load_balancing": moves, "health_checks": moves, "circuit_breaker": moves, "proxy_status_name": moves,

	"transport.protocol": moves, "transport.resolver": moves, "transport.proxy_protocol": moves, "transport.forward_proxy_url": moves,
	"transport.network_proxy": moves, "transport.versions": moves, "transport.local_address": moves,
	"transport.keep_alive": ignored, "transport.compression": ignored, "transport.max_conns_per_host": ignored,
	"transport.dial_timeout": ignored, "transport.dial_fallback_delay": ignored, "transport.response_header_timeout": ignored,
	"transport.expect_continue_timeout": ignored, "transport.max_response_header_size": ignored, "transport.write_buffer_size": ignored,
	"transport.read_buffer_size": ignored, "transport.read_timeout": ignored, "transport.write_timeout": ignored,

	"transport.tls.insecure_skip_verify": opening, "transport.tls.ca": unordered, "transport.tls.root_ca_pool": unordered,
	"transport.tls.root_ca_pem_files": unordered, "transport.tls.renegotiation": unordered, "transport.tls.except_ports": unordered,
	"transport.tls.server_name": moves, "transport.tls.client_certificate_file": moves, "transport.tls.client_certificate_key_file": moves,
	"transport.tls.client_certificate_automate": moves, "transport.tls.curves": moves, "transport.tls.handshake_timeout": ignored,
}

func (c *wayDiff) proxies(was, is *Proxy) {
	c.depending("the way to the service", was.leaves, is.leaves, "upstreams.dial")
	if was.text == is.text {
		return
	}
	const tls = "transport.tls"
	without := ""
	if hasTLS := has(was.leaves, tls); hasTLS != has(is.leaves, tls) {
		without = tls // that all of it is there, or gone, is enough
		if hasTLS {
			c.add(Widened, tls, "TLS to the service is gone", "with TLS", "without TLS")
		} else {
			c.add(Narrowed, tls, "the service is reached by TLS", "without TLS", "with TLS")
		}
	}
	c.leaves("the way to the service", proxyRules, was.leaves, is.leaves, without)
	c.grown("trusted_proxies", "X-Forwarded fields are believed from other addresses", listOf(was.leaves["trusted_proxies"]), listOf(is.leaves["trusted_proxies"]))
}

// depending compares what is written alike, and has placeholders of which something else comes.
func (c *wayDiff) depending(of string, was, is map[string]string, leftOut ...string) {
	for _, name := range slices.Sorted(maps.Keys(c.was.settings)) {
		before, after := c.was.settings[name], c.is.settings[name]
		if before != after && was[name] == is[name] && !slices.Contains(leftOut, name) {
			c.add(Moved, name, of+" is another: "+name, mask(name, before), mask(name, after))
		}
	}
}

// leaves compares by rules, but for what is below one place. What falls under one rule is told
// as one.
func (c *wayDiff) leaves(of string, rules map[string]meaning, was, is map[string]string, without string) {
	before, after := groupLeaves(rules, was, is), groupLeaves(rules, is, was)
	names := maps.Clone(before)
	maps.Copy(names, after)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if before[name] == after[name] || without != "" && (name == without || strings.HasPrefix(name, without+".")) {
			continue
		}
		what := of + " is another: " + name
		old, new := maskLeaves(name, rules, was), maskLeaves(name, rules, is)
		switch rules[name] {
		case ignored:
		case moves:
			c.add(Moved, name, what, old, new)
		case unordered:
			c.add(Widened, name, what, old, new)
		case opening:
			switch "true" {
			case after[name]:
				c.add(Widened, name, what, onOff(false), onOff(true))
			case before[name]:
				c.add(Narrowed, name, what, onOff(true), onOff(false))
			}
		default:
			c.unknown(name, what, old, new)
		}
	}
}

// maskLeaves is what falls under one rule, for a reader.
func maskLeaves(name string, rules map[string]meaning, leaves map[string]string) string {
	shown := maps.Clone(leaves)
	for leaf := range shown {
		shown[leaf] = mask(leaf, shown[leaf])
	}
	return groupLeaves(rules, shown, nil)[name]
}

// groupLeaves has what falls under each rule, and by itself what falls under none. That an
// object is there at all is not told where the other side says something of it.
func groupLeaves(rules map[string]meaning, leaves, others map[string]string) map[string]string {
	groups := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(leaves)) {
		if leaves[name] == "{}" && has(others, name) {
			continue
		}
		rule, ok := ruleOf(rules, name)
		switch {
		case !ok, rule == name:
			groups[name] = leaves[name]
		default:
			groups[rule] = strings.TrimPrefix(groups[rule]+", "+strings.TrimPrefix(name, rule+".")+" "+leaves[name], ", ")
		}
	}
	return groups
}

// grown is for lists of what is let in.
func (c *wayDiff) grown(part, what string, was, is []string) {
	switch {
	case len(missing(is, was)) > 0:
		c.add(Widened, part, what, strings.Join(was, " "), strings.Join(is, " "))
	case len(missing(was, is)) > 0:
		c.add(Narrowed, part, what, strings.Join(was, " "), strings.Join(is, " "))
	}
}

func listOf(leaf string) (all []string) {
	_ = json.Unmarshal([]byte(leaf), &all) // nothing of it is in what is not a list
	return all
}

// fileRules are for the members of file_server.
var fileRules = map[string]meaning{
	"handler": ignored, "root": ignored, "fs": ignored, "hide": ignored,
	"browse": moves, "browse.reveal_symlinks": opening, "index_names": moves, "canonical_uris": moves,
	"status_code": moves, "pass_thru": moves, "precompressed": moves, "precompressed_order": moves, "etag_file_extensions": moves,
}

func (c *wayDiff) files(was, is *FilesHandler) {
	for _, name := range []string{"root", "fs"} {
		if before, after := c.was.settings[name], c.is.settings[name]; before != after {
			c.add(Moved, name, "files come from another place: "+name, before, after)
		}
	}
	c.depending("how files are shown", was.leaves, is.leaves, "root", "fs")
	without := ""
	if lists := has(was.leaves, "browse"); lists != has(is.leaves, "browse") {
		without = "browse"
		if lists {
			c.add(Narrowed, without, "folders are not listed any more", onOff(true), onOff(false))
		} else {
			c.add(Widened, without, "folders are listed", onOff(false), onOff(true))
		}
	}
	c.leaves("how files are shown", fileRules, was.leaves, is.leaves, without)
	before, after := was.hidden(c.old), is.hidden(c.new)
	switch {
	case len(missing(before, after)) > 0:
		c.add(Widened, "hide", "files that were hidden are shown", strings.Join(before, " "), strings.Join(after, " "))
	case len(missing(after, before)) > 0:
		c.add(Narrowed, "hide", "more files are hidden", strings.Join(before, " "), strings.Join(after, " "))
	}
}

// staticRules are for the members of static_response, compared by what comes out.
var staticRules = map[string]meaning{
	"handler": ignored, "status_code": ignored, "headers": ignored, "body": ignored, "close": ignored, "abort": ignored,
}

// HasRule says whether the comparison knows a member of a handler: "transport.tls.ca" of
// reverse_proxy. What it does not know counts as wider where it differs.
func HasRule(handler, member string) bool {
	rules := map[string]map[string]meaning{"reverse_proxy": proxyRules, "file_server": fileRules, "static_response": staticRules}
	_, ok := ruleOf(rules[handler], member)
	return ok
}

// responses compares answers that the configuration has of its own.
func (c *wayDiff) responses() {
	old, new := ownAnswer(c.was), ownAnswer(c.is)
	if old == nil || new == nil || c.was.isSilent() && c.is.isSilent() {
		return
	}
	c.leaves("the answer", staticRules, old.leaves, new.leaves, "")
	names := make(map[string]string)
	maps.Copy(names, c.was.settings)
	maps.Copy(names, c.is.settings)
	if c.was.isSilent() || c.is.isSilent() {
		delete(names, "status") // which of the refusals it is, is not compared
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		before, there := c.was.settings[name]
		after, is := c.is.settings[name]
		if before == after && (there == is || name == "body") {
			continue
		}
		what := "is answered with another " + name
		if name == "field Location" {
			what = "is sent elsewhere"
		}
		direction := Moved
		if sharesAnswer(name) {
			direction, what = Widened, whoReads
		}
		if name == templateSees { // it names fields, and has what they are
			shown := secretName.FindString(before + after)
			c.add(direction, name, what, mask(shown, short(before)), mask(shown, short(after)))
			continue
		}
		if there != is && name != "body" { // no field is none that is empty
			c.add(direction, name, what, mask(name, short(before)), mask(name, short(after)))
			continue
		}
		c.addText(direction, name, what, before, after, mask(name, short(before)), mask(name, short(after)))
	}
}

// ownAnswer is the one that the configuration has; without words where it says nothing. Nil:
// somebody else answers.
func ownAnswer(y *way) *Static {
	if y.isSilent() {
		return new(Static)
	}
	own, _ := y.by.(*Static)
	return own
}

// short is the beginning of a text.
func short(text string) string {
	const most = 80
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "..."
	}
	return text
}
