"""The attack suite as data: what every back-end has to withstand, with the facts of this machine
filled in.
"""

from pathlib import Path

import yaml

from psd_lab.sandbox import Limits, Tests

FOLDER = Path(__file__).parent / "attacks"
KINDS = ("forge", "protocol", "exhaust", "reach")
FORGED = "assert f(2) == 4\nassert f(3) == 9"
PIPES = """
import json, os, sys
frame = sys._getframe()
while 'answers' not in frame.f_locals: frame = frame.f_back
questions, answers = frame.f_locals['questions'], frame.f_locals['answers']
handle = {'value': {'handle': [0, 'callable', 'f']}}
def send(message):
    data = json.dumps(message).encode()
    os.write(answers, len(data).to_bytes(4, 'big') + data)
def take():
    size = int.from_bytes(os.read(questions, 4), 'big')
    return json.loads(os.read(questions, size)) if size else os._exit(3)
def reply(message): send({'id': take()['id'], **message})
"""
# Starts on a busy machine take a while; what waits for ever says so in the case.
HOSTILE, HONEST = Limits(cpu=1, wall=12), Limits(cpu=10, wall=60)


def read(kind):
    return yaml.safe_load((FOLDER / f"{kind}.yaml").read_text())


HOSTILE_CASES = {f"{kind}/{name}": case for kind in KINDS for name, case in read(kind).items()}
HONEST_CASES = read("honest")


def filled(text, facts):
    """A text with the facts of this machine: in code as source, in tests as literals."""
    for name, value in facts.items():
        text = text.replace(f"@{name}@", repr(value))
    return text.replace("@PIPES@", PIPES).replace("@NESTED@", "(" * 50_000 + ")" * 50_000)


def tests_of(case, facts):
    return Tests(
        filled(case.get("tests", FORGED), facts), case.get("entry_point"), case.get("prelude", "")
    )


def hostile_limits(case):
    return Limits(cpu=1, wall=case.get("wall", HOSTILE.wall))
