// An authorization server of somebody else's: oidc-provider, on loopback, whose access
// tokens are JWTs (RFC 9068) for the resource that is asked for (RFC 8707). Prints
// {issuer}, and ends when standard input does.
import { createServer } from 'node:http'
import * as jose from 'jose'
import Provider from 'oidc-provider'

const { privateKey } = await jose.generateKeyPair('ES256', { extractable: true })
const key = { ...(await jose.exportJWK(privateKey)), kid: 'provider-1', alg: 'ES256', use: 'sig' }

const server = createServer()
await new Promise((listening) => server.listen(0, '127.0.0.1', listening))
const issuer = `http://127.0.0.1:${server.address().port}`
const provider = new Provider(issuer, {
  jwks: { keys: [key] },
  scopes: ['accounts:read'],
  clients: [{
    client_id: 'client-1', client_secret: 'a secret for one test only', scope: 'accounts:read',
    grant_types: ['client_credentials'], redirect_uris: [], response_types: [], id_token_signed_response_alg: 'ES256',
  }],
  features: {
    clientCredentials: { enabled: true },
    dPoP: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_ctx, resource) => ({
        scope: 'accounts:read', audience: resource, accessTokenTTL: 300, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
})
server.on('request', provider.callback())
console.log(JSON.stringify({ issuer }))
process.stdin.resume().on('end', () => process.exit(0))
