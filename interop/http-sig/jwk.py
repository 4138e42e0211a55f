"""Private JWKs as keys of the package `cryptography`."""

import base64
import json

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa


def from_jwk(path):
    """The signing key and the verification key of a file with one private JWK."""
    jwk = json.load(open(path))
    octets = lambda name: base64.urlsafe_b64decode(jwk[name] + "===")  # noqa: E731
    number = lambda name: int.from_bytes(octets(name), "big")  # noqa: E731
    match jwk["kty"]:
        case "oct":
            return octets("k"), octets("k")
        case "OKP":
            private = ed25519.Ed25519PrivateKey.from_private_bytes(octets("d"))
        case "EC":
            curve = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1()}[jwk["crv"]]
            private = ec.derive_private_key(number("d"), curve)
        case "RSA":
            public = rsa.RSAPublicNumbers(number("e"), number("n"))
            parts = (number(it) for it in ("p", "q", "d", "dp", "dq", "qi"))
            private = rsa.RSAPrivateNumbers(*parts, public).private_key()
    return private, private.public_key()
