"""Plays failures and judges what dashcap made of them: run.py [-j N] [--quick | --list | NAME...]; see scenes.sh."""
import concurrent.futures
import dataclasses
import os
import re
import sys
import tempfile
import time
import traceback

import judge
from net import AFTER, Net


@dataclasses.dataclass
class See:
    """What a recorder must have noticed."""

    observer: str
    names: tuple  # regular expressions that must all match what onset, chain and symptom say
    within: float = 5  # seconds after the fault in which it must have frozen by itself
    onset: float = 1.5  # seconds the onset may be off
    begins: float = 0  # seconds after the fault at which the trouble really begins
    never: tuple = ()  # what is false, wherever it stands


@dataclasses.dataclass
class Scene:
    name: str
    play: object
    expected: list
    quick: bool
    after: float
    alone: bool
    long: bool


SCENES = []


def scene(name, *expected, quick=False, after=AFTER, alone=False, long=False):
    """A scene: its function builds a network, calls `net.fault()` and breaks something. Without expectations nothing may
    freeze. `alone`: it touches what all namespaces share. `long`: only who names it plays it."""

    def register(play):
        SCENES.append(Scene(name, play, list(expected), quick, after, alone, long))
        return play

    return register


def run(chosen, folder):
    """Plays one scene; its rows, and whether all of it was right."""
    net = Net(chosen.name, f"{folder}/{chosen.name}")
    try:
        chosen.play(net)
        net.finish(chosen.after)
    except Exception:
        return [[chosen.name, "-", "NOT PLAYED", "", traceback.format_exc(limit=-1).splitlines()[-1], ""]], False
    finally:
        net.remove()
    fault = net.marks[0] if net.marks else time.time()
    rows, right = [], True
    for observer in net.recorders:
        for at, kind, _ in judge.freezes(f"{net.folder}/{observer}"):
            if not chosen.expected or at < fault - judge.SOON:
                rows.append([chosen.name, observer, f"FALSE: {at - fault:+.1f} s {kind}", "", "", ""])
                right = False
    for expected in chosen.expected:
        verdict = judge.Verdict(expected, f"{net.folder}/{expected.observer}", fault)
        rows.append(verdict.row(chosen.name))
        right &= verdict.right()
    if not rows:
        rows.append([chosen.name, "all", "nothing, as it should", "", "", "none"])
    return rows, right


def show(rows):
    for row in rows:
        print("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |", flush=True)


def main(arguments):
    jobs = 2
    if arguments[:1] == ["-j"]:
        jobs, arguments = int(arguments[1]), arguments[2:]
    if arguments == ["--list"]:
        for each in SCENES:
            print(each.name, *(expected.observer for expected in each.expected))
        return 0
    wanted = [re.compile(name.replace("*", ".*")) for name in arguments if name != "--quick"]
    chosen = [each for each in SCENES if "--quick" not in arguments or each.quick]
    named = lambda each: any(name.fullmatch(each.name) for name in wanted)
    chosen = [each for each in chosen if (named(each) if wanted else not each.long)]
    if not chosen:
        print(f"no scene is called {' or '.join(arguments)}; accepted: names of --list, with *", file=sys.stderr)
        return 2
    folder = tempfile.mkdtemp(prefix="scenes-")
    os.chmod(folder, 0o755)  # daemons give up root
    print(f"{len(chosen)} scenes, {jobs} at a time; bundles stay in {folder}", file=sys.stderr)
    show([["scene", "observer", "froze in time", "onset", "named", "false statements"], ["---"] * 6])
    wrong = []
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        together = [each for each in chosen if not each.alone]
        for each, (rows, right) in zip(together, pool.map(lambda each: run(each, folder), together)):
            show(rows)
            wrong += [] if right else [each.name]
    for each in (each for each in chosen if each.alone):
        rows, right = run(each, folder)
        show(rows)
        wrong += [] if right else [each.name]
    print(f"\n{len(chosen) - len(wrong)} passed, {len(wrong)} failed" + (f": {' '.join(wrong)}" if wrong else ""))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.modules["run"] = sys.modules["__main__"]
    import link, gateway, dns, tcp, mtu, layer2, dhcp, ipv6, vrrp, ospf, bgp, host, quiet  # noqa: E401,F401 each registers its scenes

    sys.exit(main(sys.argv[1:]))
