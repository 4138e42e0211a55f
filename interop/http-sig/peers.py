"""The peers of the matrix: each takes a job and answers with `outcome` (`ok`, `refused`, `cannot`) and `why`."""

import json
import os
import subprocess
from pathlib import Path

HERE = Path(__file__).parent


class Driver:
    """A driver that lives as long as the run: a line of JSON in, a line of JSON out."""

    def __init__(self, command, environment=None):
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})}
        )

    def __call__(self, job):
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"a driver ended: {self.process.args}")
        return json.loads(line)

    def end(self):
        self.process.stdin.close()
        self.process.wait(10)


class Aims:
    """The project's program: a process for each job, exit status 0 verified, 1 refused, 2 neither."""

    def __init__(self, program, work):
        self.program, self.work = program, Path(work)

    def __call__(self, job):
        ended = subprocess.run(self.command(job), capture_output=True, timeout=20)
        if ended.returncode == 0:
            if job["op"] == "sign":
                Path(job["out"]).write_bytes(ended.stdout)
            return {"outcome": "ok", "why": ""}
        why = (ended.stdout + ended.stderr).decode(errors="replace").strip()
        # What cannot be signed may be a wrong command line; what is verified is right or refused.
        outcome = "refused" if ended.returncode == 1 or job["op"] == "sign" else "broken"
        return {"outcome": outcome, "why": f"{ended.returncode}: {why}"}

    def command(self, job):
        """Without a profile, what a job says; with one, the profile says it."""
        profile = "wimse" if "audience" in job else "web-bot-auth" if "directory" in job else "none"
        options = [("profile", profile), ("request", job["request"]), ("scheme", job["scheme"])]
        options += [(name, job[name]) for name in ("response", "audience", "directory") if name in job]
        flags = ["--folded-lines"]
        shared = job["algorithm"] == "hmac-sha256"
        if job["op"] == "sign":
            options += [("shared-key" if shared else "key", job["key"])]
            if profile == "none":
                options += [("cover", it) for it in job["cover"]] + list(job["parameters"].items())
                options += [("label", job["label"])] + ([("keyid", job["keyid"])] if job["keyid"] else [])
                flags += ["--alg"] if job["alg"] else []
                flags += self.word(job)
        else:
            flags += ["--json"]
            options += [("now", job["now"])] if "now" in job else []
            if profile == "none":
                options += [("require", it) for it in job["cover"]] + [("label", job["label"])]
                flags += self.word(job)
            if shared:
                options += [("shared-key", job["key"])]
            elif profile == "wimse":
                options += [("wit-key", self.public(job, "{}"))]
            else:
                options += [("keys", self.public(job, '{{"keys": [{}]}}'))]
        return [self.program, "httpsig", job["op"], *flags, *(f"--{name}={value}" for name, value in options)]

    @staticmethod
    def word(job):
        """What the program wants to be told before it makes or takes a signature of nothing."""
        return [] if job["cover"] else ["--allow-nothing-covered"]

    def public(self, job, form):
        """A file with the public key of the job, alone or in a set. In a directory, `kid` is the thumbprint, as `keyid` of the job is."""
        jwk = json.loads(Path(job["key"]).read_text())
        public = {name: it for name, it in jwk.items() if name not in ("d", "p", "q", "dp", "dq", "qi")}
        if "directory" in job:
            public["kid"] = job["keyid"]
        path = self.work / "public.json"
        path.write_text(form.format(json.dumps(public)))
        return str(path)

    def end(self):
        pass


def start(arguments):
    """The peers that are here, by name, and what is not here."""
    drivers, missing = {}, []
    if arguments.python_path:
        drivers["python"] = Driver(["python3", str(HERE / "peer_python.py")], {"PYTHONPATH": arguments.python_path})
    if arguments.node:
        for name in ("node", "sig", "bot"):
            drivers[name] = Driver([arguments.node, f"{arguments.scripts}/peer_{name}.mjs"])
    if arguments.driver:
        drivers["aims"] = Driver([arguments.driver])
    if arguments.aims:
        if subprocess.run([arguments.aims, "httpsig", "--help"], capture_output=True).returncode == 0:
            drivers["cli"] = Aims(arguments.aims, arguments.work)
        else:
            missing.append("aims httpsig: the program has no such command")
    return drivers, missing
