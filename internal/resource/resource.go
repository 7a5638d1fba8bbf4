// Package resource describes protected resources to OAuth clients (RFC 9728): what an
// API is called, who issues tokens for it, and what these have to be like.
package resource

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/open-tollgate/tollgate/internal/canonical"
)

// WellKnown is what RFC 9728 section 3.1 puts between the host and the path of a
// resource's identifier.
const WellKnown = "/.well-known/oauth-protected-resource"

// Metadata is the document of one resource (RFC 9728 section 2). A list that is empty
// is left out, as section 3.2 wants it.
type Metadata struct {
	Resource             string   `json:"resource"`
	Name                 string   `json:"resource_name,omitempty"`
	AuthorizationServers []string `json:"authorization_servers,omitempty"`
	Scopes               []string `json:"scopes_supported,omitempty"`
	BearerMethods        []string `json:"bearer_methods_supported,omitempty"`
	DetailTypes          []string `json:"authorization_details_types_supported,omitempty"`
	ProofAlgorithms      []string `json:"dpop_signing_alg_values_supported,omitempty"`
	// CertificateBound says that tokens bound to a client certificate are taken (RFC 8705).
	CertificateBound bool `json:"tls_client_certificate_bound_access_tokens,omitempty"`
	// DPoPRequired says that no other tokens than those bound to a DPoP key are taken.
	DPoPRequired bool `json:"dpop_bound_access_tokens_required,omitempty"`
}

// New describes a resource of this identifier. It has to be one that Identifier gave.
func New(identifier, name string) *Metadata {
	return &Metadata{Resource: identifier, Name: name, BearerMethods: []string{"header"}}
}

// AddScopes adds what a part of the resource asks for.
func (m *Metadata) AddScopes(scopes ...string) { m.Scopes = with(m.Scopes, scopes) }

// AddDetailTypes adds the types of authorization_details that a part of it asks for.
func (m *Metadata) AddDetailTypes(types ...string) { m.DetailTypes = with(m.DetailTypes, types) }

// with gives a sorted list of both, each word once: the document is the same however
// the parts come.
func with(list, more []string) []string {
	list = slices.Concat(list, more)
	slices.Sort(list)
	return slices.Compact(list)
}

// Identifier gives the identifier of a resource: a path stands for a URL at the first of
// the origins, and a URL has to be at one of them, since nobody else serves its metadata.
func Identifier(origins []string, resource string) (string, error) {
	if len(origins) == 0 {
		return "", errors.New("there is no origin that it could be at")
	}
	if strings.HasPrefix(resource, "/") {
		return check(origins[0], resource)
	}
	for _, origin := range origins {
		if path, ok := strings.CutPrefix(resource, origin); ok && (path == "" || path[0] == '/') {
			return check(origin, path)
		}
	}
	return "", fmt.Errorf("neither a path nor a URL at %s", strings.Join(origins, " or "))
}

// check holds the path to what the edge lets through. An identifier without a path gets
// a slash, as URLs are compared and written by clients.
func check(origin, path string) (string, error) {
	if path == "" {
		path = "/"
	}
	u, err := url.Parse(origin + path)
	if err != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(path, "#") {
		return "", errors.New("a path without query and fragment is needed")
	}
	if strings.Contains(path, "*") {
		return "", errors.New("it is the name of an API and no pattern: leave the * out")
	}
	if err := canonical.Check(u, path); err != nil {
		return "", err
	}
	return origin + path, nil
}

// URL gives where the metadata of an identifier is (RFC 9728 section 3.1).
func URL(identifier string) string {
	u, err := url.Parse(identifier)
	if err != nil {
		return "" // Identifier gives none of these
	}
	return u.Scheme + "://" + u.Host + wellKnownPath(u)
}

func wellKnownPath(u *url.URL) string {
	if u.Path == "/" {
		return WellKnown
	}
	return WellKnown + u.EscapedPath()
}
