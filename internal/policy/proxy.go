package policy

import (
	"encoding/json"
	"slices"
	"strings"
)

// Proxy forwards.
type Proxy struct {
	At        string
	API       *API `json:"-"`
	Upstreams []struct {
		Dial string `json:"dial"`
	} `json:"upstreams"`
	Dynamic   json.RawMessage `json:"dynamic_upstreams"`
	Transport struct {
		Protocol string `json:"protocol"`
		TLS      *struct {
			Insecure bool `json:"insecure_skip_verify"`
		} `json:"tls"`
	} `json:"transport"`
	Headers *struct {
		Request  *fieldChanges   `json:"request"`
		Response json.RawMessage `json:"response"`
	} `json:"headers"`
	HandleResponse []rawResponse `json:"handle_response"`
	Rewrite        *Rewrite      `json:"-"`

	addresses []string
	responses []*response
	answer    string // what is done to the answer's fields, as it is written
	text      string // all of it, as it is written
	leaves    map[string]string
}

func (p *parser) proxy(at string, raw json.RawMessage) *Proxy {
	h := &Proxy{At: at, API: p.api, text: canonicalJSON(raw), leaves: leavesOf(raw)}
	p.fail(at+" reverse_proxy", json.Unmarshal(raw, h))
	var more struct {
		Rewrite json.RawMessage `json:"rewrite"`
	}
	p.fail(at+" reverse_proxy", json.Unmarshal(raw, &more))
	if len(more.Rewrite) > 0 {
		h.Rewrite = p.rewrite(at, more.Rewrite)
	}
	if h.Headers != nil {
		h.answer = answerText(h.Headers.Response)
	}
	if h.Transport.Protocol == "http" { // as where nothing is said
		delete(h.leaves, "transport.protocol")
	}
	h.addresses = h.list()
	h.responses = p.responses(at, h.HandleResponse)
	return h
}

// Addresses are where it forwards to, with the scheme.
func (h *Proxy) Addresses() []string { return h.addresses }

func (h *Proxy) list() []string {
	scheme := "http://"
	switch {
	case h.Transport.Protocol == "fastcgi":
		scheme = "fastcgi://"
	case h.Transport.TLS != nil:
		scheme = "https://"
	}
	var all []string
	for _, u := range h.Upstreams {
		all = append(all, scheme+u.Dial)
	}
	if len(h.Dynamic) > 0 {
		all = append(all, scheme+"(dynamic)")
	}
	slices.Sort(all)
	return all
}

func (h *Proxy) String() string { return "reverse_proxy " + strings.Join(h.Addresses(), " ") }

// addressesFor are those of one request: a placeholder may name the service.
func (h *Proxy) addressesFor(w *walk) []string {
	if !hasPlaceholder(strings.Join(h.addresses, " ")) {
		return h.addresses
	}
	var all []string
	for _, address := range h.addresses {
		all = append(all, plain(replaceFilled(address, w.decided)))
	}
	return all
}

// settings are what else depends on the request, beside what is compared by itself.
func (h *Proxy) settings(w *walk) map[string]string {
	if !placeholder.MatchString(h.text) {
		return nil
	}
	return filledLeaves(w, h.leaves, "headers", "rewrite", "handle_response")
}

// deliver notes what the service gets: what is changed here is changed for it alone.
func (h *Proxy) deliver(w *walk) {
	alone := *w
	if w.url != nil {
		u := *w.url
		alone.url = &u
	}
	alone.fields = w.fields.clone()
	if h.Rewrite != nil {
		h.Rewrite.apply(&alone)
	}
	if h.Transport.TLS != nil { // Caddy's default for services by HTTPS
		alone.fields.put("Host", field{values: []string{upstreamHost}})
	}
	if h.Headers != nil {
		alone.fields.change(w, h.Headers.Request) // its placeholders are of the request as it came here
	}
	alone.deliver(h, h.settings(w))
	w.out.way = alone.out.way
}
