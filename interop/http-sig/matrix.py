"""Every signer's messages before every verifier, changed and unchanged.

A cell is (case, algorithm, signer, verifier, change). It is green where the outcome is what the case says, known where known.json explains why it is not, and red
otherwise; a known cell that turned green is red too. The rows `rfc` are the messages that the standard prints: their columns stand where the first signer's do.
"""

import argparse
import base64
import hashlib
import json
import sys
import time
from pathlib import Path

import appendix
from known import Known
from peers import HERE, start

ALGORITHMS = ["ecdsa-p256-sha256", "ecdsa-p384-sha384", "ed25519", "hmac-sha256", "rsa-pss-sha512", "rsa-v1_5-sha256"]
LABEL = "sig1"


def full(component):
    """`@query-param;name="n"` is `"@query-param";name="n"`."""
    name, _, parameters = component.partition(";")
    return f'"{name}"' + (f";{parameters}" if parameters else "")


def on_the_wire(name, work):
    """A message of messages/, whose lines end in LF for those who read it, with lines that end in CRLF."""
    data = (HERE / "messages" / f"{name}.http").read_bytes()
    head, _, body = data.partition(b"\n\n")
    path = work / f"{name}.http"
    path.write_bytes(head.replace(b"\n", b"\r\n") + b"\r\n\r\n" + body)
    return str(path)


def thumbprint(path):
    """RFC 7638."""
    jwk = json.loads(Path(path).read_text())
    members = {"OKP": "crv kty x", "EC": "crv kty x y", "RSA": "e kty n"}[jwk["kty"]].split()
    text = json.dumps({name: jwk[name] for name in members}, separators=(",", ":"), sort_keys=True)
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


def job_of(case, algorithm, now, work):
    key = str(HERE / "keys" / f"{algorithm}.json")
    keyid = case.get("keyid", f"test-{algorithm}")
    times = ("created", "expires")
    parameters = case.get("parameters", {"created": -5})
    return {
        "algorithm": algorithm,
        "key": key,
        "keyid": thumbprint(key) if keyid == "thumbprint" else keyid,
        "alg": case.get("alg", False),
        "label": case.get("label", LABEL),
        "cover": [full(it) for it in case["cover"]],
        "parameters": {name: now + it if name in times else it for name, it in parameters.items()},
        "scheme": case.get("scheme", "https"),
        "request": on_the_wire(case["request"], work),
        **{name: case[name] for name in ("audience", "directory") if name in case},
        **({"response": on_the_wire(f"{case['response']}.response", work)} if "response" in case else {}),
    }


def changed(data, change):
    """The message with one thing changed, or None where this signer's text has no such place."""
    for old, new in [(change["from"], change["to"])] + ([change["and"]] if "and" in change else []):
        if data.count(old.encode()) != 1:
            return None
        data = data.replace(old.encode(), new.encode())
    return data


def with_bent_signature(data, label):
    """Another first character of the signature, which is six other bits."""
    head, mark, rest = data.rpartition(f"{label}=:".encode())
    first = b"B" if rest[:1] != b"B" else b"C"
    return head + mark + first + rest[1:]


class Matrix:
    def __init__(self, drivers, work):
        self.drivers, self.work, self.known = drivers, work, Known()
        self.green, self.explained, self.red, self.rows = 0, {}, [], []

    def judge(self, cell, answer, expected):
        """One cell: its mark for the table."""
        seen = answer["outcome"]
        if expected == "refused" and seen == "cannot":
            seen = "refused"
        entry = self.known.look(cell, seen, expected)
        if seen == expected:
            self.green += 1
            return "ok"
        if entry:
            self.explained.setdefault(entry["id"], 0)
            self.explained[entry["id"]] += 1
            return "-" if seen == "cannot" else "k"
        self.red.append(f"{' '.join(cell)}: {seen}, expected {expected}: {answer['why']}")
        return "RED"

    def run(self, name, case):
        algorithms = case.get("algorithms", ["ed25519"])
        for algorithm in ALGORITHMS if algorithms == "all" else algorithms:
            job = job_of(case, algorithm, int(time.time()), self.work)
            self.rows.append((name, algorithm, {it: self.signed_by(it, name, case, job) for it in self.drivers}))

    def signed_by(self, signer, name, case, job):
        if signer == "bot" and job["parameters"].get("tag") != "web-bot-auth":
            return None
        out = str(self.work / f"{name}.{job['algorithm']}.{signer}.http")
        answer = self.drivers[signer]({**job, "op": "sign", "out": out})
        cell = (name, job["algorithm"], signer, "-", "-")
        mark = self.judge(cell, answer, case.get("sign", "ok"))
        if answer["outcome"] != "ok":
            return {"-": mark}
        if case.get("sign") == "refused":
            return {"-": mark}
        carrier = "response" if "response" in job else "request"
        return {
            verifier: self.verified_by(verifier, (name, job["algorithm"], signer), case, {**job, carrier: out}, carrier)
            for verifier in self.drivers
            if verifier != "bot" or job["parameters"].get("tag") == "web-bot-auth"
        }

    def verified_by(self, verifier, cell, case, job, carrier):
        verify = lambda path: self.drivers[verifier]({**job, "op": "verify", carrier: path})  # noqa: E731
        answer = verify(job[carrier])
        mark = self.judge((*cell, verifier, "-"), answer, case.get("then", "ok"))
        if answer["outcome"] != "ok":
            return mark
        data = Path(job[carrier]).read_bytes()
        changes = [{"what": "the signature", "then": "refused", "data": with_bent_signature(data, job["label"])}, *case.get("changes", [])]
        for change in changes:
            other = change.get("data") or changed(data, change)
            if other is None:
                self.red.append(f"{' '.join(cell)}: there is nothing to change for '{change['what']}'")
                continue
            path = self.work / "changed.http"
            path.write_bytes(other)
            seen = self.judge((*cell, verifier, change["what"]), verify(str(path)), change["then"])
            mark = seen if mark == "ok" or seen == "RED" else mark
        return mark

    def run_appendix(self):
        """The messages that the standard prints, before every verifier but the one for a tag that they do not have."""
        for name, then, job in appendix.jobs(self.work):
            cells = {
                verifier: self.verified_by(verifier, (name, job["algorithm"], "rfc"), {"then": then}, job, "request")
                for verifier in self.drivers
                if verifier != "bot"
            }
            self.rows.append((f"rfc {name}", job["algorithm"], {next(iter(self.drivers)): cells}))

    def print(self):
        names = list(self.drivers)
        print("rows: a case and an algorithm; columns: who signed, and below it who verified")
        width = 4
        head = "".join(f"  {name:<{width * len(names)}}" for name in names)
        print(f"{'':51}{head}")
        print(f"{'':51}" + "".join("  " + "".join(f"{it[:3]:<{width}}" for it in names) for _ in names))
        for name, algorithm, cells in self.rows:
            line = f"{name:<32} {algorithm:<18}"
            for signer in names:
                marks = cells.get(signer) or {}
                if "-" in marks:
                    marks = {names[0]: marks["-"]}
                line += "  " + "".join(f"{marks.get(it, ''):<{width}}" for it in names)
            print(line.rstrip())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", required=True)
    parser.add_argument("--node")
    parser.add_argument("--scripts")
    parser.add_argument("--python-path")
    parser.add_argument("--driver", help="the driver of the crate http-sig")
    parser.add_argument("--aims", help="the program")
    parser.add_argument("--only", default="*", help="cases whose names match")
    arguments = parser.parse_args()
    work = Path(arguments.work)
    work.mkdir(parents=True, exist_ok=True)
    drivers, missing = start(arguments)
    matrix = Matrix(drivers, work)
    begun = time.monotonic()
    for path in sorted((HERE / "cases").glob(f"{arguments.only}.json")):
        matrix.run(path.stem, json.loads(path.read_text()))
    if arguments.only == "*":
        matrix.run_appendix()
    for driver in drivers.values():
        driver.end()
    matrix.print()
    stale = list(matrix.known.stale(drivers)) if arguments.only == "*" else []
    print("\nok: as the case says, changed and unchanged   k, -: known, `-` where a peer says itself that it cannot")
    for name, count in sorted(matrix.explained.items()):
        print(f"  known {count:>4}  {name}")
    for line in matrix.red + stale:
        print(f"  RED  {line}")
    for what in missing:
        print(f"  not run: {what}")
    explained = sum(matrix.explained.values())
    print(f"\nhttp-sig: {matrix.green} ok, {explained} known, {len(matrix.red) + len(stale)} red, {time.monotonic() - begun:.1f} s")
    sys.exit(1 if matrix.red or stale else 0)


main()
