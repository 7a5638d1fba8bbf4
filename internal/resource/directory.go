package resource

import (
	"encoding/json"
	"net/url"
	"strings"

	"github.com/open-tollgate/tollgate/internal/document"
)

// Directory holds the documents of all resources of an edge.
type Directory struct {
	places map[string][]place // by path
}

// place is the document of one resource. Of one path there are as many as there are
// origins that have it.
type place struct {
	host     string
	document *document.Document
}

// NewDirectory makes the documents. The identifiers have to differ.
func NewDirectory(resources []*Metadata) (*Directory, error) {
	d := &Directory{places: make(map[string][]place, len(resources))}
	for _, m := range resources {
		u, err := url.Parse(m.Resource)
		if err != nil {
			return nil, err
		}
		body, err := json.Marshal(m)
		if err != nil {
			return nil, err
		}
		path := wellKnownPath(u)
		d.places[path] = append(d.places[path], place{hostOf(u.Scheme, u.Host), document.New("application/json", body)})
	}
	return d, nil
}

// Find gives the document at a path of this edge, nil when there is none. The host, which
// is the caller's word, decides between origins that have the same path and nothing else.
func (d *Directory) Find(host, path string) *document.Document {
	at := d.places[path]
	if len(at) == 1 {
		return at[0].document
	}
	for _, p := range at {
		if p.host == hostOf("https", host) || p.host == hostOf("http", host) {
			return p.document
		}
	}
	return nil
}

// hostOf gives a host as it can be compared: in lower case, without the scheme's own port.
func hostOf(scheme, host string) string {
	port := ":443"
	if scheme == "http" {
		port = ":80"
	}
	return strings.TrimSuffix(strings.ToLower(host), port)
}
