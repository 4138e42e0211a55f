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
        command = [self.program, "httpsig", job["op"], "--request", job["request"], "--scheme", job["scheme"]]
        if job.get("response"):
            command += ["--response", job["response"]]
        command += ["--profile", "none", "--label", job["label"]]
        if job["op"] == "sign":
            command += ["--key", job["key"]]
            for component in job["cover"]:
                command += ["--cover", component]
            for name, value in job["parameters"].items():
                command += [f"--{name}", str(value)]
            if job["keyid"]:
                command += ["--keyid", job["keyid"]]
            if job["alg"]:
                command += ["--alg"]
        else:
            command += ["--keys", self.key_set(job), "--json"]
            if "now" in job:
                command += ["--now", str(job["now"])]
            for component in job["cover"]:
                command += ["--require", component]
        ended = subprocess.run(command, capture_output=True, timeout=20)
        if ended.returncode == 0:
            if job["op"] == "sign":
                Path(job["out"]).write_bytes(ended.stdout)
            return {"outcome": "ok", "why": ""}
        why = (ended.stdout if job["op"] == "verify" else b"") + ended.stderr
        outcome = "refused" if ended.returncode == 1 or job["op"] == "sign" else "broken"
        return {"outcome": outcome, "why": why.decode(errors="replace").strip()}

    def key_set(self, job):
        """The verification key under the `keyid` of the job; a shared key is the same on both sides."""
        jwk = json.loads(Path(job["key"]).read_text())
        public = {name: it for name, it in jwk.items() if name not in ("d", "p", "q", "dp", "dq", "qi")}
        path = self.work / f"{jwk['kid']}.jwks.json"
        path.write_text(json.dumps({"keys": [public]}))
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
