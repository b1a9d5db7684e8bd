"""What scripts/vm-clocks-test.sh asks two machines with wrong clocks, and how it judges what a report says of them.

    clocks.py ask CASE LINE-A LINE-B      tells both what to do; prints what their clocks showed between which moments
    clocks.py judge CASE ASKED FRAMES     fails if a frame of b was at another moment of a's clock than FRAMES says

Times are whole nanoseconds. Ours are by CLOCK_MONOTONIC, which nobody sets.
"""

import re
import socket
import sys
import time
from datetime import datetime, timezone

# How long both are asked; the step comes in the middle.
SECONDS = 40
# A machine that is emulated on a busy one boots in this.
PATIENCE = 200
# An answer of a machine that stands still meanwhile says little, and is one of many.
PAUSE = 0.05
# The machines' clocks and ours part by less: the 200 ppm of the story, and as much again for how a kernel gauges
# the emulated processor.
MOST_RATE = 1_000e-6
RATE_STEP = 0.2e-6
# As in clocks.sh.
STEP = 5_000_000_000


def connected(path):
    """The line of a machine. What it says before that is lost, so both are connected before either is waited for."""
    end = time.monotonic() + PATIENCE
    while True:
        line = socket.socket(socket.AF_UNIX)
        try:
            line.connect(path)
            break
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
    line.settimeout(PATIENCE)
    return line, line.makefile("rb", buffering=0)


def ask(case, paths):
    ends = dict(zip("ab", map(connected, paths)))
    for _, lines in ends.values():
        while lines.readline().strip() != b"ready":
            pass
    begun = time.monotonic()
    pieces = {"a": 0, "b": 0}
    while time.monotonic() < begun + SECONDS:
        for name, (line, lines) in ends.items():
            before = time.monotonic_ns()
            line.sendall(b"t")
            # It had looked at its clock before it said anything.
            answer = lines.read(1)
            after = time.monotonic_ns()
            answer += lines.readline()
            shown = int(answer.strip().replace(b".", b"")) * 1_000
            print(name, pieces[name], shown, before, after)
        if case == "step" and not pieces["b"] and time.monotonic() > begun + SECONDS / 2:
            line, lines = ends["b"]
            line.sendall(b"s")
            assert lines.readline().strip() == b"set"
            pieces["b"] = 1
        time.sleep(PAUSE)
    for line, _ in ends.values():
        line.sendall(b"q")


class Clock:
    """A clock between two settings: it runs at one speed, which nobody knows, and was where its answers say."""

    def __init__(self, answers):
        self.first = answers[0][0]
        self.last = answers[-1][0]
        # Our time less the clock's is at least and at most this much, so long after the first answer.
        self.answers = [(shown - self.first, before - shown, after - shown) for shown, before, after in answers]
        steps = int(MOST_RATE / RATE_STEP)
        self.lines = []
        for rate in (number * RATE_STEP for number in range(-steps, steps + 1)):
            least = max(before - rate * since for since, before, _ in self.answers)
            # An answer has whole microseconds, and rates between two steps fit, too.
            most = min(after - rate * since for since, _, after in self.answers)
            slack = 1_000 + RATE_STEP * (self.last - self.first)
            if least <= most + slack:
                self.lines.append((rate, least - slack, most + slack))
        assert self.lines, "no speed fits the answers"

    def when(self, shown):
        """Our time when it showed that: at least, at most."""
        since = shown - self.first
        least = min(least + rate * since for rate, least, _ in self.lines)
        most = max(most + rate * since for rate, _, most in self.lines)
        return shown + least, shown + most

    def shows(self, when):
        """What it shows at a moment of ours, at least and at most."""
        # Our time less its own changes by a thousandth of what `shown` is off: twice is enough.
        least = most = when - self.answers[0][1]
        for _ in range(4):
            least -= self.when(least)[1] - when
            most -= self.when(most)[0] - when
        return least, most


def nanos(text):
    seconds, _, part = text.partition(".")
    return int(seconds) * 1_000_000_000 + int(part.ljust(9, "0")[:9])


def stamp(text):
    whole, _, part = text.rstrip("Z").partition(".")
    at = datetime.fromisoformat(whole).replace(tzinfo=timezone.utc)
    return int(at.timestamp()) * 1_000_000_000 + int(part.ljust(9, "0"))


UNITS = {"ns": 1, "µs": 1e3, "ms": 1e6, "s": 1e9}
COMMENT = re.compile(r"stamped (\S+) by its host; corrected, ± ([0-9.,]+) (ns|µs|ms|s)")


def judge(case, asked, frames):
    answers = {}
    for line in open(asked):
        name, piece, *times = line.split()
        answers.setdefault((name, int(piece)), []).append(tuple(map(int, times)))
    clocks = {key: Clock(of) for key, of in answers.items()}
    pieces = sorted(piece for name, piece in clocks if name == "b")
    assert len(pieces) == (2 if case == "step" else 1), pieces
    judged, wrong, bars, widths = dict.fromkeys(pieces, 0), [], [], []
    for line in open(frames):
        interface, told, comment = line.rstrip("\n").split("\t")
        found = COMMENT.search(comment)
        if not interface.startswith("host-192.0.2.2/") or not found:
            continue
        own, told = stamp(found[1]), nanos(told)
        bar = float(found[2].replace(",", "")) * UNITS[found[3]]
        piece = next((piece for piece in pieces if clocks["b", piece].first <= own <= clocks["b", piece].last), None)
        if piece is None:
            continue
        least, most = clocks["b", piece].when(own)
        least, most = clocks["a", 0].shows(least)[0], clocks["a", 0].shows(most)[1]
        judged[piece] += 1
        bars.append(bar)
        widths.append((most - least) / 2)
        if told + bar < least or told - bar > most:
            wrong.append((found[1], told - least, told - most, bar))
    assert all(count > 100 for count in judged.values()), judged
    middle = lambda values: sorted(values)[len(values) // 2] / 1e3
    first = clocks["b", 0]
    apart = (first.first - sum(clocks["a", 0].shows(first.when(first.first)[0])) / 2) / 1e9
    print(
        f"{case}: b is ahead by {apart:.3f} s; {sum(judged.values())} frames of b judged, in {len(judged)} pieces; "
        f"the report says ± {middle(bars):.0f} µs (median), who asks beside it ± {middle(widths):.0f} µs; "
        f"{len(wrong)} outside the band"
    )
    for told in wrong[:5]:
        print("  own stamp %s: %+.0f ns to the least, %+.0f ns to the most, bar %.0f ns" % told)
    assert not wrong, "the truth is not in the band"


match sys.argv[1:]:
    case ["ask", case, *paths] if len(paths) == 2:
        ask(case, paths)
    case ["judge", case, asked, frames]:
        judge(case, asked, frames)
    case _:
        sys.exit(__doc__)
