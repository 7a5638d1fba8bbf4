// Walks the code flow with openid-client, which somebody else wrote, and prints
// one JSON object a line: first {authorize}, the URL that a browser has to visit;
// then, when the URL that the browser was sent back to came in on standard input,
// {done} with what was seen. Any surprise ends the process with an error.
//
// Arguments: the demo's demo.json, a client id of it.
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline/promises'
import assert from 'node:assert/strict'
import * as client from 'openid-client'
import * as oauth from 'oauth4webapi'
import { importJWK } from 'jose'

const [manifestPath, clientId] = process.argv.slice(2)
const demo = JSON.parse(await readFile(manifestPath, 'utf8'))
const registered = demo.clients.find((c) => c.client_id === clientId)
const fapi = registered.auth_method === 'private_key_jwt'

const config = await discover()
// A FAPI 2.0 client binds each of its tokens to a key of its own.
const DPoP = fapi ? client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256')) : undefined
const options = DPoP ? { DPoP } : undefined

const payment = await createPayment()
const { verifier, state, url } = await authorize(payment.authorization_details)
console.log(JSON.stringify({ authorize: url.href }))

const returned = new URL(await nextLine())
const tokens = await client.authorizationCodeGrant(config, returned, { pkceCodeVerifier: verifier, expectedState: state }, undefined, options)
assert.equal(tokens.token_type, fapi ? 'dpop' : 'bearer')

const confirmed = await call('POST', `/api/payments/${payment.id}/confirm`, tokens.access_token, '', payment.id)
assert.equal(confirmed.status, 'succeeded')
const read = await call('GET', `/api/payments/${payment.id}`, tokens.access_token)
assert.equal(read.status, 'succeeded')
assert.deepEqual(read.amount, { value: 1234, currency: 'EUR' })

// The code is spent: using it again must fail, and takes the grant's tokens with it.
await assert.rejects(
  client.authorizationCodeGrant(config, returned, { pkceCodeVerifier: verifier, expectedState: state }, undefined, options),
  (error) => error.error === 'invalid_grant',
)

const refreshed = registered.grant_types.includes('refresh_token') ? await refresh() : false
console.log(JSON.stringify({ done: { payment: read.id, refreshed, token_type: tokens.token_type } }))
process.exit(0)

async function discover() {
  const metadata = fapi ? { token_endpoint_auth_method: 'private_key_jwt' } : { client_secret: registered.client_secret }
  const auth = fapi
    ? client.PrivateKeyJwt({ key: await importJWK(registered.jwk, registered.jwk.alg ?? 'ES256'), kid: registered.jwk.kid })
    : client.ClientSecretBasic(registered.client_secret)
  return client.discovery(await issuerOf(new URL('/api/payments', demo.base_url)), clientId, metadata, auth)
}

// issuerOf knows nothing but the API: its challenge names the metadata, and these name
// the issuer (RFC 9728). The library holds both to the letter.
async function issuerOf(api) {
  const refusal = await oauth.protectedResourceRequest('none', 'GET', api).then(() => assert.fail('no token was needed'), (error) => error)
  assert.ok(refusal instanceof oauth.WWWAuthenticateChallengeError, String(refusal))
  const named = refusal.cause.map((challenge) => challenge.parameters.resource_metadata)
  assert.ok(named.length === 2, `challenges: ${JSON.stringify(refusal.cause)}`)
  const answer = await oauth.resourceDiscoveryRequest(api)
  assert.deepEqual(named, [answer.url, answer.url]) // each challenge names where the library looks by itself
  const resource = await oauth.processResourceDiscoveryResponse(api, answer)
  assert.deepEqual(resource.authorization_servers, [demo.issuer])
  assert.deepEqual(resource.scopes_supported, [
    'payments:capture', 'payments:confirm', 'payments:create', 'payments:read', 'payments:refund',
  ])
  assert.ok(resource.dpop_signing_alg_values_supported.includes('ES256'))
  return new URL(resource.authorization_servers[0])
}

async function createPayment() {
  const granted = await client.clientCredentialsGrant(config, { scope: 'payments:create payments:read' }, options)
  const body = JSON.stringify({ amount: { value: 1234, currency: 'EUR' }, description: 'A walk with openid-client', end_to_end_id: crypto.randomUUID() })
  const created = await call('POST', '/api/payments', granted.access_token, body, crypto.randomUUID())
  assert.equal(created.status, 'requires_consent')
  return created
}

async function authorize(details) {
  const verifier = client.randomPKCECodeVerifier()
  const state = client.randomState()
  const url = await client.buildAuthorizationUrlWithPAR(config, {
    redirect_uri: registered.redirect_uris[0],
    scope: 'payments:confirm payments:read',
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    authorization_details: JSON.stringify([details].flat()),
  }, options)
  return { verifier, state, url }
}

// refresh walks a second consent, because the replayed code above has revoked the first grant.
async function refresh() {
  const other = await createPayment()
  const { verifier, state, url } = await authorize(other.authorization_details)
  console.log(JSON.stringify({ authorize: url.href }))
  const returned = new URL(await nextLine())
  const first = await client.authorizationCodeGrant(config, returned, { pkceCodeVerifier: verifier, expectedState: state }, undefined, options)
  assert.ok(first.refresh_token, 'no refresh token')
  const second = await client.refreshTokenGrant(config, first.refresh_token, undefined, options)
  assert.notEqual(second.access_token, first.access_token)
  await call('POST', `/api/payments/${other.id}/confirm`, second.access_token, '', other.id)

  const seen = await client.tokenIntrospection(config, second.access_token)
  assert.equal(seen.active, true)
  await client.tokenRevocation(config, second.refresh_token ?? first.refresh_token)
  await assert.rejects(client.refreshTokenGrant(config, first.refresh_token, undefined, options), (error) => error.error === 'invalid_grant')
  return true
}

async function call(method, path, token, body, idempotencyKey) {
  const headers = new Headers({ accept: 'application/json' })
  if (body) headers.set('content-type', 'application/json')
  if (idempotencyKey) headers.set('idempotency-key', idempotencyKey)
  const response = await client.fetchProtectedResource(config, token, new URL(path, demo.base_url), method, body || undefined, headers, options)
  const answer = await response.json()
  assert.ok(response.ok, `${method} ${path}: ${response.status} ${JSON.stringify(answer)}`)
  return answer
}

async function nextLine() {
  const lines = createInterface({ input: process.stdin })
  for await (const line of lines) {
    lines.close()
    return line
  }
  throw new Error('standard input ended')
}
