// Makes access tokens with jose and proofs with dpop, good and altered ones, for the
// settings on standard input: {issuer, audience, url, keys: [{alg, kid, pem}]}. Prints
// a list of {name, status, authorization, proof}.
import { text } from 'node:stream/consumers'
import * as jose from 'jose'
import * as DPoP from 'dpop'

const settings = JSON.parse(await text(process.stdin))
const samples = []
const add = (name, status, authorization, proof) => samples.push({ name, status, authorization, proof })

for (const { alg, kid, pem } of settings.keys) {
  const key = await jose.importPKCS8(pem, alg)
  const token = await sign(key, { alg, kid })
  add(`${alg} token`, 200, `Bearer ${token}`)
  add(`${alg} token, altered`, 401, `Bearer ${alter(token)}`)
  add(`${alg} token of another type`, 401, `Bearer ${await sign(key, { alg, kid, typ: 'JWT' })}`)
  add(`${alg} token for another audience`, 401, `Bearer ${await sign(key, { alg, kid }, {}, 'https://else.example.com')}`)
  add(`${alg} token of another key`, 401, `Bearer ${await sign((await jose.generateKeyPair(alg)).privateKey, { alg, kid })}`)
  await forms(alg, kid, key)
}
const { alg, kid, pem } = settings.keys[0]
const signer = await jose.importPKCS8(pem, alg)
for (const alg of ['ES256', 'PS256']) await proofs(alg)
await byHand()
console.log(JSON.stringify(samples))

// forms are other serializations of the same claims.
async function forms(alg, kid, key) {
  const header = { alg, kid, typ: 'at+jwt' }
  const payload = new TextEncoder().encode(JSON.stringify(claims()))
  const flat = await new jose.FlattenedSign(payload).setProtectedHeader(header).sign(key)
  add(`${alg} token in flattened JSON`, 400, `Bearer ${JSON.stringify(flat)}`)
  const general = await new jose.GeneralSign(payload).addSignature(key).setProtectedHeader(header).done().sign()
  add(`${alg} token in general JSON`, 400, `Bearer ${JSON.stringify(general)}`)
  const nested = await new jose.CompactSign(new TextEncoder().encode(await sign(key, { alg, kid }))).setProtectedHeader({ ...header, cty: 'JWT' }).sign(key)
  add(`${alg} token in a token`, 401, `Bearer ${nested}`)
  const encrypted = await new jose.EncryptJWT(claims()).setProtectedHeader({ alg: 'dir', enc: 'A256GCM', typ: 'at+jwt' }).encrypt(new Uint8Array(32))
  add(`${alg} token, encrypted`, 401, `Bearer ${encrypted}`)
}

// proofs are made by the package dpop.
async function proofs(proofAlg) {
  const pair = await DPoP.generateKeyPair(proofAlg)
  const jkt = await DPoP.calculateThumbprint(pair.publicKey)
  const token = await sign(signer, { alg, kid }, { cnf: { jkt } })
  const proof = (url = settings.url, method = 'GET', of = token, by = pair) => DPoP.generateProof(by, url, method, undefined, of)
  const good = await proof()
  add(`${proofAlg} proof`, 200, `DPoP ${token}`, good)
  add(`${proofAlg} proof again`, 401, `DPoP ${token}`, good)
  add(`${proofAlg} proof of a URL with a query`, 200, `DPoP ${token}`, await proof(settings.url + '?page=2'))
  add(`${proofAlg} proof, altered`, 401, `DPoP ${token}`, alter(await proof()))
  add(`${proofAlg} proof of another URL`, 401, `DPoP ${token}`, await proof(settings.url + '/else'))
  add(`${proofAlg} proof of another method`, 401, `DPoP ${token}`, await proof(settings.url, 'POST'))
  add(`${proofAlg} proof of another token`, 401, `DPoP ${token}`, await proof(settings.url, 'GET', 'else'))
  add(`${proofAlg} proof of another key`, 401, `DPoP ${token}`, await proof(settings.url, 'GET', token, await DPoP.generateKeyPair(proofAlg)))
  add(`${proofAlg} bound token as bearer`, 401, `Bearer ${token}`)
}

// byHand makes an EdDSA proof: dpop writes the algorithm as Ed25519 (RFC 9864).
async function byHand() {
  const { publicKey, privateKey } = await jose.generateKeyPair('EdDSA', { extractable: true })
  const jwk = await jose.exportJWK(publicKey)
  const token = await sign(signer, { alg, kid }, { cnf: { jkt: await jose.calculateJwkThumbprint(jwk) } })
  const ath = jose.base64url.encode(new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(token))))
  const proof = (header) => new jose.SignJWT({ htm: 'GET', htu: settings.url, ath, jti: crypto.randomUUID() })
    .setIssuedAt().setProtectedHeader({ alg: 'EdDSA', typ: 'dpop+jwt', jwk, ...header }).sign(privateKey)
  add('EdDSA proof', 200, `DPoP ${token}`, await proof())
  add('EdDSA proof with a private key', 401, `DPoP ${token}`, await proof({ jwk: await jose.exportJWK(privateKey) }))
  add('EdDSA proof of another type', 401, `DPoP ${token}`, await proof({ typ: 'JWT' }))
}

function claims() {
  const now = Math.floor(Date.now() / 1000)
  return { iss: settings.issuer, aud: settings.audience, sub: 'user-1', client_id: 'client-1', jti: crypto.randomUUID(), iat: now, exp: now + 300 }
}

function sign(key, header, more = {}, audience = settings.audience) {
  return new jose.SignJWT({ ...claims(), ...more }).setAudience(audience).setProtectedHeader({ typ: 'at+jwt', ...header }).sign(key)
}

// alter changes a character in the middle of the signature.
function alter(jws) {
  const at = jws.lastIndexOf('.') + 10
  return jws.slice(0, at) + (jws[at] === 'A' ? 'B' : 'A') + jws.slice(at + 1)
}
