"""Driver of PyPI http-message-signatures. One JSON object a line in, one out: `sign` and `verify`, as README.md has them.

Its own rules are left as they are, but for two words that a matrix needs: a signature may be chosen by its label, and one day of age is enough.
"""

import datetime
import json
import sys
import warnings

import raw
from http_message_signatures import HTTPMessageSigner, HTTPMessageVerifier, MappingKeyResolver, algorithms
from jwk import from_jwk

ALGORITHMS = {
    it.algorithm_id: it
    for it in (
        algorithms.ECDSA_P256_SHA256,
        algorithms.ECDSA_P384_SHA384,
        algorithms.ED25519,
        algorithms.HMAC_SHA256,
        algorithms.RSA_PSS_SHA512,
        algorithms.RSA_V1_5_SHA256,
    )
}


class Verifier(HTTPMessageVerifier):
    allow_label_only_selection = True


class Fields:
    """Field lines in order, as the library wants them: names iterate, assignment adds."""

    def __init__(self, fields):
        self.lines = list(fields)

    def items(self):
        return list(self.lines)

    def __iter__(self):
        return iter([name for name, _ in self.lines])

    def __contains__(self, name):
        return any(own.lower() == name.lower() for own, _ in self.lines)

    def __delitem__(self, name):
        self.lines = [it for it in self.lines if it[0].lower() != name.lower()]

    def __setitem__(self, name, value):
        self.lines.append((name, value))

    def __getitem__(self, name):
        return next(value for own, value in self.lines if own.lower() == name.lower())


class Request:
    def __init__(self, message, scheme):
        self.method, self.request_target, _ = message.start.split(" ")
        self.url = raw.target_uri(message, scheme)
        self.headers = Fields(message.fields)


class Response:
    def __init__(self, message, request):
        self.status_code = int(message.start.split(" ")[1])
        self.headers = Fields(message.fields)
        self.request = request


def read(job):
    """The message that carries the signature, raw and as the library takes it."""
    message = raw.parse(open(job["request"], "rb").read())
    own = Request(message, job["scheme"])
    if job.get("response"):
        message = raw.parse(open(job["response"], "rb").read())
        own = Response(message, own)
    return message, own


def keys(job):
    private, public = from_jwk(job["key"])
    keyid = job["keyid"]
    return MappingKeyResolver(public_keys={keyid: public}, private_keys={keyid: private})


def sign(job):
    message, own = read(job)
    at = lambda name: job["parameters"].get(name) and datetime.datetime.fromtimestamp(  # noqa: E731
        job["parameters"][name], tz=datetime.timezone.utc
    )
    signer = HTTPMessageSigner(signature_algorithm=ALGORITHMS[job["algorithm"]], key_resolver=keys(job))
    signer.sign(
        own,
        key_id=job["keyid"],
        created=at("created"),
        expires=at("expires"),
        nonce=job["parameters"].get("nonce"),
        tag=job["parameters"].get("tag"),
        label=job["label"],
        include_alg=job["alg"],
        covered_component_ids=tuple(job["cover"]),
        append_if_signature_exists=True,
        use_existing_digest="content-digest" in own.headers,
    )
    signed = raw.with_signature(message, own.headers["Signature-Input"], own.headers["Signature"])
    with open(job["out"], "wb") as out:
        out.write(raw.write(signed))


def verify(job):
    message, own = read(job)
    covers_content = "content-digest" in own.headers and any("content-digest" in it for it in job["cover"])
    verifier = Verifier(signature_algorithm=ALGORITHMS[job["algorithm"]], key_resolver=keys(job))
    results = verifier.verify(
        own,
        max_age=None if "now" in job else datetime.timedelta(days=1),
        expect_label=job["label"],
        require_components=tuple(job["cover"]),
        body=message.body if covers_content else None,
    )
    if len(results) != 1:
        raise ValueError("not one signature")


def main():
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        job = json.loads(line)
        try:
            {"sign": sign, "verify": verify}[job["op"]](job)
            answer = {"outcome": "ok", "why": ""}
        except Exception as error:  # noqa: BLE001, whatever it throws is its answer
            answer = {"outcome": "refused", "why": str(error) or type(error).__name__}
        print(json.dumps(answer), flush=True)


main()
