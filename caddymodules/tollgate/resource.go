package tollgate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-tollgate/tollgate/internal/document"
	"github.com/open-tollgate/tollgate/internal/resource"
)

// resources are the APIs of a configuration as OAuth knows them (RFC 9728). They are
// gathered while it is provisioned, and read only from then on.
type resources struct {
	described map[string]*resource.Metadata // by API
	published bool                          // by a resource_metadata handler
	directory func() (*resource.Directory, error)
}

// DescribeResource begins the metadata of an API. The identifier is a URL at one of the
// origins, or a path at the first of them.
func (a *App) DescribeResource(api, identifier, name string) error {
	identifier, err := resource.Identifier(a.Origins, identifier)
	if err != nil {
		return err
	}
	for other, taken := range a.resources.described {
		if taken.Resource == identifier && other != api {
			return fmt.Errorf("%s is api %s already", identifier, other)
		}
	}
	if name == "" {
		name = api
	}
	m := resource.New(identifier, name)
	m.CertificateBound = a.ClientCertificate != nil
	if algorithms := a.ProofAlgorithms(); algorithms != "" {
		m.ProofAlgorithms = strings.Fields(algorithms)
	}
	if a.resources.described == nil {
		a.resources.described = make(map[string]*resource.Metadata)
	}
	a.resources.described[api] = m // once more where Caddy repeats a site's routes
	return nil
}

// Resource gives what is known of an API as a resource; of one that is none, what
// nobody will read.
func (a *App) Resource(api string) *resource.Metadata {
	if m := a.resources.described[api]; m != nil {
		return m
	}
	return new(resource.Metadata)
}

// DescribeTokens notes whose tokens an API takes, once it has its checker.
func (a *App) DescribeTokens(api string, issuers, audiences []string) error {
	selected, err := a.Select(issuers, audiences)
	if err != nil {
		return err
	}
	m := a.Resource(api)
	for _, issuer := range selected {
		if !slices.Contains(m.AuthorizationServers, issuer.URL) {
			m.AuthorizationServers = append(m.AuthorizationServers, issuer.URL)
		}
	}
	a.nameMetadata(api)
	return nil
}

// PublishResources says that there is a handler that serves the metadata. Without one no
// challenge names it, before or after.
func (a *App) PublishResources() {
	a.resources.published = true
	for api := range a.checkers {
		a.nameMetadata(api)
	}
}

// warnOfSilence tells the operator of metadata that nobody can get.
func (a *App) warnOfSilence() {
	if len(a.resources.described) > 0 && !a.resources.published {
		a.logger.Warn("there are APIs with a resource, but no resource_metadata that serves what they are: challenges do not name it")
	}
}

// nameMetadata has the challenges of an API name its metadata, if there is any.
func (a *App) nameMetadata(api string) {
	if checker := a.checkers[api]; checker != nil {
		checker.ResourceMetadata = a.MetadataURL(api)
	}
}

// MetadataURL gives where the metadata of an API is; empty when it is nowhere.
func (a *App) MetadataURL(api string) string {
	m := a.resources.described[api]
	if m == nil || !a.resources.published {
		return ""
	}
	return resource.URL(m.Resource)
}

// FindResource gives the metadata document at a host and path, nil when there is none.
// It is for requests: by then, all APIs are described.
func (a *App) FindResource(host, path string) (*document.Document, error) {
	directory, err := a.resources.directory()
	if err != nil {
		return nil, err
	}
	return directory.Find(host, path), nil
}

// newDirectory makes the documents of what has been described.
func (a *App) newDirectory() (*resource.Directory, error) {
	all := make([]*resource.Metadata, 0, len(a.resources.described))
	for _, m := range a.resources.described {
		all = append(all, m)
	}
	return resource.NewDirectory(all)
}
