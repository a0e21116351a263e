"""What the measurements share: figures, ranks, looking at sites, and what others notice of a measurement."""

import json
import os
import sys
import time

CI = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path[:0] = [CI, os.path.join(CI, "chaos")]

from prober import Prober  # noqa: E402
from site_answer import fetch  # noqa: E402

PATIENCE_S = 120


class Figures:
    """The figures of one part, printed and kept in its file as they come."""

    def __init__(self, out):
        self.out, self.lines = out, []

    def figure(self, name, value, unit, floor=None, aim=None):
        """`aim` is whether a value is good, and what would be, in words."""
        figure = {"name": name, "value": round(value, 1), "unit": unit}
        if floor is not None:
            figure |= {"floor": round(floor, 1), "ratio": round(value / max(floor, 0.1), 3)}
        self.lines.append(json.dumps(figure))
        print(self.lines[-1], flush=True)
        if aim is not None and not aim[0](value):
            print(f"missed: {name} should be {aim[1]}", flush=True)
        with open(self.out, "w", encoding="utf-8") as out:
            out.write("\n".join(self.lines) + "\n")

    def noticed(self, name, prober):
        """What others noticed of it, on fresh connections."""
        asked, lost, gap_ms = prober.lap()
        print(f"the prober asked {asked} times", flush=True)
        self.figure(f"prober.lost.{name}", lost, "requests", aim=(lambda lost: lost == 0, "0"))
        self.figure(f"prober.longest_gap_ms.{name}", gap_ms, "ms")


class Laps(Prober):
    """The prober of the faults, a lap at a time. An answer that does not come in time is lost."""

    PATIENCE_S = 0

    def lap(self):
        """How many questions were asked and lost since the last lap, and the longest time without an answer, in ms."""
        asked, lost, gap_ms = self.asked, len(self.lost), self.longest_gap_s * 1000
        self.asked, self.lost, self.longest_gap_s = 0, [], 0.0
        return asked, lost, gap_ms


def rank(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def median(values):
    return rank(values, 0.5)


def until(holds, what, pause_s=0.02):
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {PATIENCE_S} s: {what}")
        time.sleep(pause_s)


def serves(address, domain, path="/", timeout_s=10):
    """Whether a site answers 200 on a fresh connection."""
    return fetch(address, domain, path, timeout_s) == 200
