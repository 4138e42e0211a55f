"""Signs with PyPI joserfc or Authlib what `minted.rs` asks for: `mint.py joserfc|authlib`.

Reads one JSON object a line, and answers with one.
"""

import json
import sys
import warnings

# Authlib says each time that its module is going to move.
warnings.showwarning = lambda *_, **__: None
KINDS = {"E": "EC", "R": "RSA", "P": "RSA"}
CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
keys = {}


def parameters(alg):
    """The kind of key for an algorithm, and its size or curve."""
    if alg in ("EdDSA", "Ed25519"):
        return "OKP", "Ed25519"
    kind = KINDS[alg[0]]
    return kind, CURVES[alg] if kind == "EC" else 2048


class Joserfc:
    def generate(self, alg):
        from joserfc import jwk

        kind, size = parameters(alg)
        classes = {"EC": jwk.ECKey, "RSA": jwk.RSAKey, "OKP": jwk.OKPKey}
        key = classes[kind].generate_key(size)
        return key, key.as_dict(private=False), key.as_dict(private=True)

    def jwt(self, header, claims, key):
        from joserfc import jwt

        return jwt.encode(header, claims, key, algorithms=[header["alg"]], default_type=None)

    def jws(self, header, payload, key):
        from joserfc import jws

        return jws.serialize_compact(header, payload, key, algorithms=[header["alg"]])

    def secret(self, text):
        from joserfc import jwk

        return jwk.OctKey.import_key(text)

    def none(self, header, payload):
        from joserfc import jwk, jws

        return jws.serialize_compact(header, payload, jwk.OctKey.generate_key(256), algorithms=["none"])

    def encrypt(self, header, payload, key):
        from joserfc import jwe, jwk

        bare = {name: it for name, it in key.as_dict(private=False).items() if name in ("kty", "n", "e")}
        header = {**header, "alg": "RSA-OAEP-256", "enc": "A256GCM"}
        return jwe.encrypt_compact(header, payload, jwk.RSAKey.import_key(bare), algorithms=["RSA-OAEP-256", "A256GCM"])


class Authlib:
    def generate(self, alg):
        from authlib.jose import JsonWebKey

        kind, size = parameters(alg)
        while True:
            key = JsonWebKey.generate_key(kind, size, is_private=True)
            public, private = key.as_dict(is_private=False), key.as_dict(is_private=True)
            # It writes a coordinate that begins with a zero byte too short (RFC 7518 section
            # 6.2.1.2), one key in 128. Such a key is refused, so another one is drawn.
            if kind != "EC" or len({len(private[it]) for it in ("x", "y", "d")}) == 1:
                return key, public, private

    def jwt(self, header, claims, key):
        from authlib.jose import JsonWebToken

        if "typ" not in header:  # it would write one
            return self.jws(header, json.dumps(claims), key)
        return JsonWebToken([header["alg"]]).encode(header, claims, key, check=False).decode()

    def jws(self, header, payload, key):
        from authlib.jose import JsonWebSignature

        return JsonWebSignature([header["alg"]]).serialize_compact(header, payload.encode(), key).decode()

    def secret(self, text):
        from authlib.jose import OctKey

        return OctKey.import_key(text)

    def none(self, header, payload):
        return self.jws(header, payload, "")

    def encrypt(self, header, payload, key):
        from authlib.jose import JsonWebEncryption

        header = {**header, "alg": "RSA-OAEP-256", "enc": "A256GCM"}
        return JsonWebEncryption().serialize_compact(header, payload.encode(), key).decode()


def generate(library, names):
    for name, alg in names.items():
        key, public, private = library.generate(alg)
        extra = {"kid": name, "alg": alg, "use": "sig"}
        keys[name] = key, {**public, **extra}, {**private, **extra}
    return {name: public for name, (_, public, _) in keys.items()}


def embedded(jwk):
    """The members of a key alone, as `jwk` of a proof has them."""
    key = keys[jwk["$private"]][2] if "$private" in jwk else keys[jwk["$public"]][1]
    return {name: it for name, it in key.items() if name not in ("kid", "alg", "use")}


def mint(library, job):
    header, by = job["header"], job.get("by")
    if "jwk" in header:
        header["jwk"] = embedded(header["jwk"])
    payload = job.get("payload") or json.dumps(job["claims"])
    key, public, _ = keys[job["key"]]
    if by == "none":
        return library.none(header, payload)
    if by == "hmac":
        return library.jws(header, payload, library.secret(json.dumps(public)))
    if by == "encrypt":
        return library.encrypt(header, payload, keys["std-rs256"][0])
    if by == "nested":
        return library.jws({**header, "cty": "JWT"}, library.jwt(header, job["claims"], key), key)
    if by == "raw" or job.get("payload"):
        return library.jws(header, payload, key)
    return library.jwt(header, job["claims"], key)


def main():
    library = {"joserfc": Joserfc, "authlib": Authlib}[sys.argv[1]]()
    for line in sys.stdin:
        job = json.loads(line)
        try:
            answer = {"keys": generate(library, job["names"])} if "names" in job else {"token": mint(library, job)}
        except Exception as error:
            answer = {"cannot": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


main()
