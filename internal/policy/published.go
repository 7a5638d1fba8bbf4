package policy

import (
	"net/http"
	"sync"

	"github.com/open-tollgate/tollgate/internal/resource"
)

// PublishedHandler answers GET with what the edge itself says.
type PublishedHandler struct {
	At, What  string
	directory func() *resource.Directory // nil: it answers at every path
}

func (h *PublishedHandler) String() string { return h.What }

// metadata is the handler that publishes the metadata of resources (RFC 9728). APIs that
// are described are known when the whole configuration is.
func (p *parser) metadata(at string) *PublishedHandler {
	return &PublishedHandler{At: at, What: "resource_metadata", directory: sync.OnceValue(p.config.resources)}
}

func (h *PublishedHandler) serve(w *walk, next next) end {
	if !reading.matches(w) {
		return next()
	}
	if h.directory != nil && !h.finds(w) {
		return next()
	}
	w.answer(Published, http.StatusOK, Step{h.At, h.String()})
	w.deliver(h, nil)
	return answered
}

// finds says whether there is a document where the request asks for one.
func (h *PublishedHandler) finds(w *walk) bool {
	if w.lost != "" {
		return w.unknown(h.What + " after " + w.lost)
	}
	host, known := w.value("http.request.hostport")
	if !known {
		return w.unknown(h.What + " of a host that is not known")
	}
	return h.directory().Find(host, w.url.EscapedPath()) != nil
}

// resources are what the edge describes, where it does. A configuration with a resource
// that has no place does not load.
func (c *Config) resources() *resource.Directory {
	var all []*resource.Metadata
	for _, api := range c.APIs() {
		if api.Resource == "" {
			continue
		}
		if identifier, err := resource.Identifier(c.Tollgate.Origins, api.Resource); err == nil {
			all = append(all, resource.New(identifier, api.Name))
		}
	}
	directory, err := resource.NewDirectory(all)
	if err != nil {
		return new(resource.Directory)
	}
	return directory
}
