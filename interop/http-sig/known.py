"""The cells that are known not to be green, each with who is right and why: known.json."""

import json
from fnmatch import fnmatchcase
from pathlib import Path

ENTRIES = json.loads((Path(__file__).parent / "known.json").read_text())
FIELDS = ("cases", "algorithms", "signers", "verifiers", "changes")


class Known:
    """Which entry explains a cell, and which entries explain nothing or too much."""

    def __init__(self):
        self.used = [0 for _ in ENTRIES]
        self.green = [[] for _ in ENTRIES]

    def look(self, cell, seen, expected):
        """The entry for a cell that is not as expected. Cells that are as expected although an entry names them are remembered."""
        for number, entry in enumerate(ENTRIES):
            if not covers(entry, cell):
                continue
            if seen == expected:
                self.green[number].append(cell)
            elif seen in entry["seen"]:
                self.used[number] += 1
                return entry
        return None

    def stale(self, peers):
        """What an entry says and the run does not. An entry about a peer that is not here says nothing about this run."""
        here = lambda names: any(it in peers or it in ("*", "-") for it in names)  # noqa: E731
        for entry, used, green in zip(ENTRIES, self.used, self.green):
            for cell in green:
                yield f"{entry['id']}: is green now: {' '.join(cell)}"
            if not used and not green and here(entry["signers"]) and here(entry["verifiers"]):
                yield f"{entry['id']}: nothing is so any more"


def covers(entry, cell):
    """Whether an entry names a cell: (case, algorithm, signer, verifier, change). `-` stands for signing itself, and for a message as it was signed."""
    return all(any(fnmatchcase(part, it) for it in entry[field]) for part, field in zip(cell, FIELDS))
