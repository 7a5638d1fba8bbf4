package auth

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"
	"github.com/luikyv/go-oidc/pkg/provider"
)

// edDSA is missing among the library's constants.
const edDSA goidc.SignatureAlgorithm = "EdDSA"

// newProvider wires the library. There is one provider for both kinds of
// clients, with everything that FAPI 2.0 asks of all requests switched on for
// all of them: PAR, PKCE with S256, issuer in the response, parameters from the
// pushed request alone. What differs by kind is the client's own authentication
// method and whether DPoP is required, and managers.Client decides both from the
// registration. The library's own profile validation stays off because it wants
// a server without client_secret_basic; tests check what it would.
func (s *Server) newProvider() (*provider.Provider, error) {
	m := managers{s.store, s.vault}
	return provider.New(s.issuer, m, s.keys.jwks,
		provider.WithProfile(goidc.ProfileFAPI2),
		provider.WithAuthorizeEndpoint(authorizePath),
		provider.WithTokenEndpoint(tokenPath),
		provider.WithPAREndpoint(parPath),
		provider.WithTokenIntrospectionEndpoint(introspectPath),
		provider.WithTokenRevocationEndpoint(revokePath),
		provider.WithJWKSEndpoint(jwksPath),
		provider.WithUserInfoEndpoint(userinfoPath),

		provider.WithAuthCodeGrant(m, goidc.ResponseTypeCode),
		provider.WithRefreshTokenGrant(m),
		provider.WithClientCredentialsGrant(),
		provider.WithPARRequired(m),
		provider.WithPARSessionHandler(s.guardPushed),
		provider.WithPKCERequired(goidc.CodeChallengeMethodSHA256),
		provider.WithIssuerResponseParameter(),
		provider.WithPolicies(goidc.NewPolicy("browser", s.setUp, s.authenticate)),

		provider.WithSecretBasicAuthn(),
		provider.WithPrivateKeyJWTAuthn(goidc.ES256, goidc.PS256, edDSA),
		provider.WithClientSecretVerifier(m.verifySecret),
		provider.WithDPoP(goidc.ES256, goidc.PS256, edDSA),
		provider.WithJTIConsumer(m.consumeJTI),

		provider.WithScopes(libraryScopes()...),
		provider.WithRAR(paymentType),
		provider.WithRARDetailValidator(validateDetail),
		provider.WithRARDetailsComparator(compareDetails),
		provider.WithACRs(acrPassword),
		provider.WithGrantHandler(s.guardGrant),
		provider.WithTokenHandler(s.guardToken),
		provider.WithTokenClaims(s.tokenClaims),
		provider.WithIDTokenClaims(idTokenClaims),
		provider.WithIDTokenSignatureAlgs(goidc.ES256),
		provider.WithTokenOptions(func(context.Context, *goidc.Grant, *goidc.Client) goidc.TokenOptions {
			return goidc.NewJWTTokenOptions(goidc.ES256, inSeconds(s.accessTokenLifetime))
		}),

		provider.WithTokenIntrospection(func(_ context.Context, c *goidc.Client, token goidc.TokenInfo) bool {
			return token.ClientID == c.ID
		}),
		provider.WithTokenRevocation(func(context.Context, *goidc.Client) bool { return true }),
		provider.WithTokenRevocationRevokeGrantOnAccessToken(),

		provider.WithAuthCodeLifetime(inSeconds(codeLifetime)),
		provider.WithPARLifetime(inSeconds(requestURILifetime)),
		provider.WithAuthSessionLifetime(inSeconds(sessionLifetime)),
		provider.WithIDTokenLifetime(inSeconds(idTokenLifetime)),
		provider.WithRefreshTokenLifetime(inSeconds(refreshTokenLifetime)),
		provider.WithJWTLifetime(inSeconds(jwtLifetime)),
		provider.WithJWTLeewayTime(inSeconds(clockLeeway)),

		// Clients in a database come only with dynamic registration: closed here,
		// in the managers, and by not being routed.
		provider.WithDCR(m),
		provider.WithDCRInitialTokenValidator(refuseRegistration),
		// No client's metadata is fetched from anywhere.
		provider.WithHTTPClientFunc(func(context.Context) *http.Client { return &http.Client{Transport: noNetwork{}} }),

		provider.WithErrorHandler(s.handleError),
		provider.WithErrorRenderer(s.renderError),
	)
}

func inSeconds(d time.Duration) int { return int(d / time.Second) }

// noNetwork refuses every request.
type noNetwork struct{}

func (noNetwork) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("the authorization server fetches nothing for its clients")
}
