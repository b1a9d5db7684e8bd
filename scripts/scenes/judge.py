"""What a recorder made of a scene, against what a person on call would want: did it freeze by itself and soon, does its
report name the cause, is its onset the right second, does it say anything that is false."""
import datetime
import glob
import json
import os
import re

# Triggers that somebody asked for.
ASKED = {"snapshot", "signal", "file", "http"}
# A trigger may be stamped this much before the mark beside it, in seconds.
SOON = 0.2


def seconds(text):
    whole, _, fraction = text.rstrip("Z").partition(".")
    moment = datetime.datetime.fromisoformat(whole).replace(tzinfo=datetime.timezone.utc)
    return moment.timestamp() + float("0." + (fraction or "0"))


def load(path):
    with open(path) as file:
        return json.load(file)


class Bundle:
    def __init__(self, folder):
        self.name = os.path.basename(folder)
        self.report = load(f"{folder}/report.json")
        self.triggers = [(seconds(each["time"]), each["kind"]) for each in load(f"{folder}/manifest.json")["triggers"]]

    def said(self):
        """The sentences of the pager's line, onset, chain and symptom, each with its interface."""
        report = self.report
        onset = (report.get("onset") or {}).get("finding")
        steps = [onset, *(report.get("chain") or []), report.get("trigger")]
        return [f"{step.get('interface') or ''} {step.get('direction') or ''} {step['sentence']}" for step in steps if step]

    def everything(self):
        told = [*(self.report.get("findings") or []), *(self.report.get("events") or [])]
        return self.said() + [each.get("sentence", "") for each in told]


def bundles(folder):
    found = [Bundle(path) for path in glob.glob(f"{folder}/*_*") if os.path.exists(f"{path}/report.json")]
    return sorted(found, key=lambda bundle: bundle.triggers[0][0])


def freezes(folder):
    """Each bundle that came by itself: when, and its first trigger."""
    return [bundle.triggers[0] + (bundle,) for bundle in bundles(folder) if bundle.triggers[0][1] not in ASKED]


class Verdict:
    """One observer of one scene."""

    def __init__(self, expected, folder, fault):
        self.observer = expected.observer
        self.froze = self.named = self.onset_right = False
        self.trigger, self.delay, self.onset, self.missing, self.false = "", None, None, [], []
        found = [(at, kind, bundle) for _, _, bundle in freezes(folder) for at, kind in bundle.triggers]
        found = [each for each in found if each[0] >= fault - SOON and each[1] not in ASKED]
        if not found:
            return
        at, self.trigger, bundle = found[0]
        self.delay = at - fault
        self.froze = self.delay <= expected.within
        words = " | ".join(bundle.said())
        self.missing = [name for name in expected.names if not re.search(name, words, re.I)]
        self.named = not self.missing
        whole = " | ".join(bundle.everything())
        self.false = [match.group(0) for match in (re.search(never, whole, re.I) for never in expected.never) if match]
        symptom = seconds(bundle.report["trigger"]["time"])
        onset = bundle.report.get("onset")
        told = seconds(onset["time"]) if onset else symptom
        self.onset = told - fault
        self.onset_right = abs(self.onset - expected.begins) <= expected.onset
        if told > symptom + 0.01:
            self.false.append(f"onset {told - symptom:.1f} s after the symptom")
        if self.onset < -2:
            self.false.append(f"onset {-self.onset:.1f} s before the fault")

    def right(self):
        return self.froze and self.named and self.onset_right and not self.false

    def row(self, scene):
        mark = lambda good: "yes" if good else "NO"
        froze = f"{self.delay:+.1f} s {self.trigger}" if self.delay is not None else "nothing"
        onset = f"{self.onset:+.1f} s" if self.onset is not None else "-"
        named = mark(self.named) + (f" ({', '.join(self.missing)})" if self.missing and self.delay is not None else "")
        return [scene, self.observer, f"{mark(self.froze)}: {froze}", f"{mark(self.onset_right)}: {onset}", named, "; ".join(self.false) or "none"]
