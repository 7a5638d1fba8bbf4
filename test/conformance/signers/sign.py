"""Makes access tokens and proofs with jwcrypto, as sign.mjs does with jose."""

import base64
import hashlib
import json
import sys
import time
import uuid

from jwcrypto import jwk, jws

settings = json.load(sys.stdin)
samples = []


def add(name, status, authorization, proof=None):
    samples.append({"name": name, "status": status, "authorization": authorization, "proof": proof})


def sign(key, header, claims, compact=True):
    signed = jws.JWS(json.dumps(claims))
    signed.add_signature(key, header["alg"], json.dumps(header))
    return signed.serialize(compact=compact)


def claims(**more):
    now = int(time.time())
    return {"iss": settings["issuer"], "aud": settings["audience"], "sub": "user-1", "client_id": "client-1",
            "jti": str(uuid.uuid4()), "iat": now, "exp": now + 300, **more}


def header(key, **more):
    return {"typ": "at+jwt", "alg": key["alg"], "kid": key["kid"], **more}


def alter(raw):
    at = raw.rindex(".") + 10
    return raw[:at] + ("B" if raw[at] == "A" else "A") + raw[at + 1:]


def proofs(algorithm, **kind):
    holder, other = jwk.JWK.generate(**kind), jwk.JWK.generate(**kind)
    first = settings["keys"][0]
    signer = jwk.JWK.from_pem(first["pem"].encode())
    token = sign(signer, header(first), claims(cnf={"jkt": holder.thumbprint()}))
    ath = base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()

    def proof(by=holder, shown=None, **more):
        shown = shown or json.loads(by.export_public())
        body = {"htm": "GET", "htu": settings["url"], "iat": int(time.time()), "jti": str(uuid.uuid4()), "ath": ath, **more}
        return sign(by, {"typ": "dpop+jwt", "alg": algorithm, "jwk": shown}, body)

    def use(name, status, proof):
        add(f"{algorithm} proof{name}", status, "DPoP " + token, proof)

    good = proof()
    use("", 200, good)
    use(" again", 401, good)
    use(", altered", 401, alter(proof()))
    use(" with a private key", 401, proof(shown=json.loads(holder.export_private())))
    use(" of another key", 401, proof(by=other))
    use(" that shows another key", 401, proof(shown=json.loads(other.export_public())))
    use(" of another method", 401, proof(htm="POST"))
    use(" of an hour ago", 401, proof(iat=int(time.time()) - 3600))


for entry in settings["keys"]:
    algorithm, key = entry["alg"], jwk.JWK.from_pem(entry["pem"].encode())
    add(f"{algorithm} token", 200, "Bearer " + sign(key, header(entry), claims()))
    add(f"{algorithm} token, altered", 401, "Bearer " + alter(sign(key, header(entry), claims())))
    add(f"{algorithm} token of another type", 401, "Bearer " + sign(key, header(entry, typ="JWT"), claims()))
    add(f"{algorithm} token that has ended", 401, "Bearer " + sign(key, header(entry), claims(exp=int(time.time()) - 60)))
    add(f"{algorithm} token in JSON", 400, "Bearer " + sign(key, header(entry), claims(), compact=False))
proofs("ES256", kty="EC", crv="P-256")
proofs("PS256", kty="RSA", size=2048)
proofs("EdDSA", kty="OKP", crv="Ed25519")
json.dump(samples, sys.stdout)
