"""PyPI Authlib asks our token service, and PyPI joserfc checks our transaction tokens by the rules
of the draft, written here: no independent implementation of transaction tokens is published.

Reads a job as JSON from stdin, and writes a JSON object for each step.
"""

import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import warnings

warnings.showwarning = lambda *_, **__: None

from authlib.oauth2.auth import ClientAuth  # noqa: E402
from authlib.oauth2.client import OAuth2Client  # noqa: E402
from authlib.oauth2.rfc7523 import PrivateKeyJWT  # noqa: E402
from joserfc import jwt  # noqa: E402
from joserfc.jwk import ECKey, KeySet  # noqa: E402

job = json.load(sys.stdin)
TYPE = "urn:ietf:params:oauth:token-type:"


def get(url):
    with urllib.request.urlopen(url, timeout=20) as answer:
        return json.load(answer)


class Response:
    """The part of a response that Authlib reads."""

    def __init__(self, status, body):
        self.status_code = status
        self.text = body.decode()

    def json(self):
        return json.loads(self.text)

    def raise_for_status(self):
        if self.status_code >= 500:
            raise RuntimeError(f"status {self.status_code}")


class Session:
    """Sends what Authlib has prepared."""

    def post(self, url, data=None, headers=None, auth=None, **_):
        url, headers, body = auth.prepare("POST", url, headers, urllib.parse.urlencode(data))
        request = urllib.request.Request(url, body.encode(), headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return Response(answer.status, answer.read())
        except urllib.error.HTTPError as error:
            return Response(error.code, error.read())


class Client(OAuth2Client):
    client_auth_class = ClientAuth


metadata = get(f"{job['issuer']}/.well-known/oauth-authorization-server")
keys = KeySet.import_key_set(get(metadata["jwks_uri"]))


def verify(token, domain=None, skip=0):
    """draft-ietf-oauth-transaction-tokens §9.2, §12.2"""
    read = jwt.decode(token, keys, algorithms=["ES256"])
    if read.header.get("typ") != "txntoken+jwt":
        raise ValueError("typ")
    text = {"essential": True, "allow_blank": False}
    rules = jwt.JWTClaimsRegistry(
        now=int(time.time()) + skip,
        leeway=30,
        aud={"essential": True, "value": domain or job["domain"]},
        exp={"essential": True},
        iat={"essential": True},
        txn=text,
        sub=text,
        scope=text,
        req_wl=text,
    )
    rules.validate(read.claims)
    return read.claims


def exchange(**changes):
    headers = {"kid": job["kid"], "typ": "client-authentication+jwt"}
    # Its first argument becomes `aud` of the assertion. By default an assertion lives for an hour,
    # and our server accepts at most five minutes.
    claims = {"exp": int(time.time()) + 60}
    method = PrivateKeyJWT(job["issuer"], headers=headers, claims=claims, alg="ES256")
    key = ECKey.import_key(job["key"])
    client = Client(Session(), job["client"], key, token_endpoint_auth_method="private_key_jwt")
    client.register_client_auth_method(method)
    asked = {
        "subject_token": job["access_token"],
        "subject_token_type": f"{TYPE}access_token",
        "requested_token_type": f"{TYPE}txn_token",
        "audience": job["domain"],
        "scope": "orders stock",
        "request_details": json.dumps({"call_digest": job["call"]}),
        **changes,
    }
    grant = "urn:ietf:params:oauth:grant-type:token-exchange"
    answer = client.fetch_token(metadata["token_endpoint"], grant_type=grant, **asked)
    if answer["issued_token_type"] != f"{TYPE}txn_token":
        raise ValueError("issued_token_type")
    if answer["token_type"].lower() != "n_a" or "refresh_token" in answer:
        raise ValueError("token_type")
    return answer["access_token"]


def judged(step, work):
    try:
        seen = work() or "ok"
    except Exception as error:
        seen = getattr(error, "error", None) or f"{type(error).__name__} {error}"
    print(json.dumps({"step": step, "seen": seen}), flush=True)


def refused(*all):
    try:
        verify(*all)
    except Exception:
        return "refused"
    return None


def check():
    claims = verify(token)
    own = [claims["sub"], claims["scope"], claims["req_wl"], claims["tctx"]["call_digest"], claims["act"]["sub"]]
    expected = [job["subject"], "orders stock", job["client"], job["call"], job["client"]]
    if own != expected:
        raise ValueError(str(own))


def first():
    global token
    token = exchange()


judged("exchange", first)
judged("verify", check)
judged("wider scope", lambda: exchange(scope="orders refunds"))
judged("other domain", lambda: exchange(audience="other.example"))
judged("no access token", lambda: exchange(subject_token=token))
judged("refresh token", lambda: exchange(subject_token_type=f"{TYPE}refresh_token"))
judged("token of another domain", lambda: refused(token, "other.example"))
judged("token after its end", lambda: refused(token, None, 120))
judged("token with another signature", lambda: refused(f"{token[:-8]}AAAAAAAA"))
judged("access token", lambda: refused(job["access_token"]))
