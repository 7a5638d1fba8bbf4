package auth

import "testing"

// guards is the list of what stands around the library, each with the test that
// fails when the guard is taken away. It is code, so that a test that is renamed
// or removed does not leave a promise behind. What the database guarantees is
// tested on SQLite and PostgreSQL in internal/store as well.
var guards = []struct {
	what string
	test func(*testing.T)
}{
	// Escalation.
	{"authorization_details cannot be added to a grant by scope", TestDetailsCannotBeAddedAtTheTokenEndpoint},
	{"scopes cannot be added to a grant by details", TestScopesCannotBeAddedAtTheTokenEndpoint},
	{"client credentials carry no details and no scope of a user", TestClientCredentialsCannotHaveWhatUsersGive},
	{"malformed details are refused when they are pushed", TestMalformedDetailsAreRefusedWhenPushed},
	{"approved details cannot be changed", TestApprovedDetailsCannotBeChangedAtTheTokenEndpoint},
	{"approved details may be repeated, and the code is not burnt", TestApprovedDetailsMayBeRepeated},
	{"a client without payments cannot ask for one", TestDetailsOnlyForClientsThatPay},
	{"users consent to users' scopes only", TestScopesOfAPushedRequest},
	{"a scope taken from a client is gone from its refresh tokens", TestScopesTakenFromTheClientAreTakenFromItsRefreshTokens},
	{"nothing can be added at the authorization endpoint", TestNothingCanBeAddedAtTheAuthorizationEndpoint},

	// No way back from fapi2 to standard.
	{"no secret in place of private_key_jwt", TestFAPI2ClientCannotUseASecret},
	{"one way of authentication at a time", TestTwoWaysOfAuthenticationAtOnceAreRefused},
	{"no assertion in place of the secret", TestStandardClientCannotUseAnAssertion},
	{"no token without DPoP", TestFAPI2ClientGetsBoundTokensOnly},
	{"no unbound refresh token from an earlier registration", TestUnboundRefreshTokenOfAClientThatBecameFAPI2},
	{"no request past PAR", TestRequestsThatWereNotPushedAreRefused},
	{"no PKCE but S256", TestPKCEIsRequiredWithS256},
	{"no flow but code", TestOnlyTheCodeFlow},
	{"no assertion by RS256, HMAC or none", TestAssertionsOfOtherAlgorithms},
	{"the assertion's aud is the issuer, as one string", TestAssertionClaims},
	{"the kind alone decides", TestTheKindDecides},

	// Once.
	{"50 redemptions, one token, the grant revoked", TestRacingRedemptions},
	{"20 consents, one code", TestParallelConsentsGiveOneCode},
	{"a code's second use revokes its grant, and is invalid_grant", TestReuseOfACodeRevokesItsGrant},
	{"a refused request cannot be approved", TestARefusalIsFinal},
	{"a request_uri is for one answer", TestARequestURIIsForOneAnswer},
	{"a code is its client's", TestACodeIsForItsClientRedirectAndVerifier},
	{"an opened request_uri ends with its minute", TestAnOpenedRequestURIEnds},
	{"and HEAD does not open it", TestHeadSpendsNothing},
	{"a store that fails does not spend a code", TestACodeOutlivesAStoreThatFails},
	{"a code that was consumed, or whose caller hung up, stays spent", TestWhatAFailedRedemptionLeaves},
	{"a jti passes once; assertions, proofs and clients are apart", TestReplay},
	{"and not again after the clean-up", TestReplayAfterCleanUp},
	{"nothing is evicted", TestNothingIsForgottenUnderLoad},
	{"what has expired is removed", TestCleanUp},

	// The browser.
	{"a second browser gets nothing of the first one's user", TestAnotherBrowserGetsNothingOfTheFirst},
	{"no page without our cookie", TestABrowserWithoutCookiesIsRefused},
	{"no form but our own", TestForgedForms},
	{"a second cookie of the same name is no cookie", TestTwoCookiesOfOneNameAreNone},
	{"looks and strangers do not get in an approval's way", TestLooksAndStrangersLeaveTheSessionAlone},
	{"cookies: __Host-, Secure, HttpOnly, SameSite", TestCookies},
	{"sign-in changes the cookie", TestSignInChangesTheLoginCookie},
	{"CSP, framing, caching, referrer", TestSecurityHeaders},
	{"no enumeration, and a lockout that is said", TestWrongPasswords},
	{"prompt, max_age, auth_time", TestPromptAndMaxAge},
	{"nobody approves without signing in", TestDenyWithoutSigningIn},
	{"a consent page ends with the login it was shown to", TestAConsentPageEndsWithTheLogin},
	{"and is not shown again after it", TestAConsentPageIsNotShownAfterSignOut},
	{"the login goes idle", TestASecondConsentNeedsNoSecondPassword},

	// Consent.
	{"the payment is what the client says it is", TestAPaymentThatDiffersIsRefused},
	{"and still is when the user approves", TestAPaymentThatChangesBehindThePageIsRefused},
	{"the debtor account is the user's", TestTheDebtorAccountIsTheUsers},
	{"the user is told for how long access lasts", TestConsentPageSaysHowLongAccessLasts},
	{"a service that does not answer is 503", TestServicesThatDoNotAnswer},

	// Values.
	{"lifetimes of request_uri, session, code and refresh token", TestLifetimes},
	{"lifetime of access tokens", TestAccessTokenLifetime},
	{"a key is published for as long as what it signed is valid", TestAKeyOutlivesTheTokensItSigned},
	{"ten seconds of leeway", TestClockLeeway},
	{"assertions and proofs are good for five minutes", TestAssertionsAndProofsAreGoodForFiveMinutes},
	{"DPoP proofs", TestProofs},
	{"two DPoP fields are not none", TestTwoProofsAreNotNone},
	{"refresh with another key is refused", TestRefreshWithAnotherKeyIsRefused},
	{"revoking an access token revokes its grant", TestRevocation},
	{"whatever ends a grant reaches the edges", TestRevocationsReachTheEdges},
	{"also when Redis was away, or the process died in between", TestRevocationsOutliveAnOutage},
	{"grants are seen and revoked by services only", TestGrantsAreForServicesOnly},
	{"introspection refuses refresh tokens and strangers", TestIntrospection},
	{"bound tokens are no bearer tokens at userinfo", TestUserinfo},
	{"no token in the body at userinfo", TestUserinfoTakesNoTokenInTheBody},

	// Keys and clients.
	{"a database keeps its master key", TestADatabaseKeepsItsMasterKey},
	{"publish second, move to first, retire", TestKeyRotation},
	{"registrations", TestRegistrations},
	{"a new registration keeps the kind", TestReplacingAClientKeepsItsKind},
	{"dynamic registration is closed", TestPathsThatAreNotRouted},
	{"the services' audience is not to be had", TestNoClientGetsTheInternalAudience},

	// Errors.
	{"codes, descriptions and challenges", TestErrorAnswers},
	{"text that a database refuses is the caller's mistake", TestTextThatADatabaseRefuses},
	{"duplicate parameters", TestDuplicateParametersAreRefused},
	{"body limits and forms", TestRequestsThatAreNoForm},
	{"a database that fails is 503, never a refusal or a pass", TestDatabaseThatDoesNotAnswer},
	{"a replay store that fails is 503", TestJTIStoreThatFails},
	{"an error takes the place of the page", TestAnErrorTakesThePlaceOfThePage},
	{"no secret in the log", TestNoSecretInTheLog},
}

func TestEachGuardIsListedOnce(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, g := range guards {
		if g.test == nil || g.what == "" || seen[g.what] {
			t.Errorf("%q is listed badly", g.what)
		}
		seen[g.what] = true
	}
}
