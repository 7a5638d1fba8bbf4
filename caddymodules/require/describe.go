package require

import (
	"github.com/open-tollgate/tollgate/internal/resource"
)

// describe adds what is asked for here to the metadata of the API.
func (h *Handler) describe(m *resource.Metadata) {
	m.AddScopes(h.Scopes...)
	m.AddDetailTypes(h.AuthorizationDetails...)
	m.CertificateBound = m.CertificateBound || h.MTLS
}

// WantsDPoP says whether nothing passes but tokens that are bound to a DPoP key, for the
// API to say so of all its requests if this is on the way of all.
func (h *Handler) WantsDPoP() bool { return h.DPoP }
