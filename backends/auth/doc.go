// Package auth is Tollgate's authorization server: OAuth 2 with pushed requests,
// PKCE, DPoP and rich authorization requests, for two kinds of clients side by
// side (standard and FAPI 2.0), with sign-in and consent pages.
//
// The protocol is github.com/luikyv/go-oidc. Bare, that library is not safe for
// payments; this package is what stands around it:
//
//	front.go, credentials.go   judge a request before the library sees it
//	guards.go, details.go      judge what the library is about to keep or issue
//	managers.go, internal/store  keep it, each transition a compare-and-swap
//	interaction.go, browser.go, consent.go  are the pages, and whose they are
//	errors.go                  put the library's refusals into the words of the RFCs
//
// guards_test.go lists each guard with the test that shows it.
//
// # What a client gets
//
// Access tokens are JWTs (RFC 9068) signed with ES256, valid for five minutes if
// the operator sets nothing else.
// A refresh token comes with a user's consent to a client that is registered for
// the grant type refresh_token; there is no scope offline_access. It is valid for
// 30 days and is not rotated (FAPI 2.0 section 5.3.2.1). A user's consent is
// never remembered: each request asks, and prompt=none ends in consent_required.
//
// The authorization endpoint is read with client_id and request_uri; whatever
// stands beside them is ignored, because the request was pushed. Not supported are
// request objects, id_token_hint, other response modes than query, and keys or
// other metadata that would have to be fetched from a client.
package auth
