"""The signed messages of RFC 9421, appendix B, as a signer of their own: `rfc` in the matrix. What it signed is right by definition.

B.2.4 is left out: the Content-Digest that its response prints is not the one that was signed.
"""

import base64
import json
import re
from pathlib import Path

TEXT = Path(__file__).parents[2] / "testdata" / "rfc9421" / "appendix-b.txt"
CREATED = 1618884473
KEYS = {
    "rsa-pss-sha512": ("Example RSA PSS Key", "PS512"),
    "ecdsa-p256-sha256": ("Example ECC P-256 Test Key", "ES256"),
    "ed25519": ("Example Ed25519 Test Key", "Ed25519"),
    "hmac-sha256": ("Example Shared Secret", None),
}
REQUEST = ("Test Cases", 0)
PROXY = ("TLS-Terminating Proxies", 4)
CHANGED = "HTTP Message Transformations"
#: By section: the algorithm, the message, the two fields that are added to it, and what must come of it.
EXAMPLES = {
    "B.2.1": ("rsa-pss-sha512", REQUEST, ("Minimal Signature Using rsa-pss-sha512", 1), "ok"),
    "B.2.2": ("rsa-pss-sha512", REQUEST, ("Selective Covered Components using rsa-pss-sha512", 1), "ok"),
    "B.2.3": ("rsa-pss-sha512", REQUEST, ("Full Coverage using rsa-pss-sha512", 1), "ok"),
    "B.2.5": ("hmac-sha256", REQUEST, ("Signing a Request using hmac-sha256", 1), "ok"),
    "B.2.6": ("ed25519", REQUEST, ("Signing a Request using ed25519", 1), "ok"),
    "B.3": ("ecdsa-p256-sha256", PROXY, None, "ok"),
    "B.4, as signed": ("ed25519", (CHANGED, 0), None, "ok"),
    "B.4, more in it": ("ed25519", (CHANGED, 2), None, "ok"),
    "B.4, fields combined": ("ed25519", (CHANGED, 3), None, "ok"),
    "B.4, fields in another order": ("ed25519", (CHANGED, 4), None, "ok"),
    "B.4, another host": ("ed25519", (CHANGED, 5), None, "refused"),
    "B.4, values in another order": ("ed25519", (CHANGED, 6), None, "refused"),
}


def block(title, number):
    """A block of a section, its folded lines joined (RFC 8792)."""
    _, section = TEXT.read_text().split(f"## {title}\n", 1)
    section = section.split("\n## ", 1)[0]
    blocks = re.findall(r"^-----\n(.*?)\n-----$", section, re.DOTALL | re.MULTILINE)
    text = re.sub(r"^NOTE: .*\n\n", "", blocks[number])
    return re.sub(r"\\\n *", "", text)


def key(algorithm, work):
    """A file with the private JWK, and its `keyid`."""
    title, alg = KEYS[algorithm]
    if alg is None:
        secret = base64.b64decode(block(title, 0))
        jwk = {"kid": "test-shared-secret", "kty": "oct", "alg": "HS256", "k": base64.urlsafe_b64encode(secret).decode().rstrip("=")}
    else:
        jwk = {**json.loads(block(title, 1)), "alg": alg}
    path = work / f"{jwk['kid']}.json"
    path.write_text(json.dumps(jwk))
    return str(path), jwk["kid"]


def jobs(work):
    """For each example its name, what must come of it, and the job of a verifier."""
    for name, (algorithm, message, added, then) in EXAMPLES.items():
        head, _, body = block(*message).partition("\n\n")
        if added:
            head += "\n" + block(*added)
        path = work / f"rfc {name}.http"
        path.write_bytes(head.strip().replace("\n", "\r\n").encode() + b"\r\n\r\n" + body.encode())
        label, components = re.search(r"^Signature-Input: ([\w-]+)=\((.*?)\)", head, re.MULTILINE).groups()
        file, keyid = key(algorithm, work)
        yield name, then, {
            "algorithm": algorithm,
            "key": file,
            "keyid": keyid,
            "alg": False,
            "label": label,
            "cover": components.split(),
            "parameters": {},
            "scheme": "https",
            "request": str(path),
            "now": CREATED + 5,
        }
