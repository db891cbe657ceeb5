import re
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np

from psd_lib.viewer import trace_html

VOID = {"input"}


def sequence(**changes):
    trace = SimpleNamespace(
        tokens=np.array([5, 6, 7, 0, -1]),
        text_tokens=["<b>", " 1&\n", "2", "<eos>", ""],
        step=np.array([0, 1, 2, 1, -1]),
        iteration=np.array([0, 0, 1, 0, -1]),
        depth=np.array([0, 1, 0, 1, -1]),
        confidence=np.array([0.9, 0.5, 1, 0.7, -1]),
    )
    given = {
        "trace": trace,
        "label": "psd",
        "n_tokens": 3,
        "nfe": 2,
        "rows": 5,
        "tpf": 1.5,
        "stopped": "eos",
        "prompt_text": "<script>alert(1)</script>",
        **changes,
    }
    return SimpleNamespace(**given)


class Balance(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.titles, self.names = [], [], set()

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        self.titles += [value for name, value in attrs if name == "title"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def parse(text: str) -> Balance:
    parser = Balance()
    parser.feed(text)
    assert parser.open == []
    return parser


def test_text_is_escaped_and_nothing_is_fetched():
    shown = trace_html(sequence())
    found = parse(shown)
    assert (
        "script" not in found.names
        and "&lt;script&gt;" in shown
        and "&lt;b&gt;" in shown
        and "1&amp;↵" in shown
    )
    assert not re.search(r"https?:|src=|@import|url\(", shown)


def test_every_token_tells_its_step_in_words():
    titles = parse(trace_html(sequence())).titles
    assert titles == [
        "step 0, call 0, policy's own step, confidence 0.90",
        "step 1, call 0, accepted draft 1, confidence 0.50",
        "step 2, call 1, policy's own step, confidence 1.00",
    ]


def test_drafts_are_marked_by_more_than_colour():
    shown = trace_html(sequence())
    assert shown.count("<sup>1</sup>") == 1 and shown.count('psd-d" data-step') == 1
    assert "1 of 3 tokens" in shown


def test_what_lies_behind_the_end_is_counted_and_not_shown():
    shown = trace_html(sequence())
    assert "eos&gt;" not in shown and "1 position at or behind the end not shown" in shown


def test_an_answer_without_tokens_still_shows():
    shown = trace_html(sequence(n_tokens=0, tpf=0.0))
    parse(shown)
    assert "0 tokens in 2 model calls" in shown


def test_two_renderings_are_equal_bytes():
    assert trace_html(sequence()) == trace_html(sequence())


def test_a_decode_shows_itself(tiny_model):
    from psd_lib import generate

    one = generate(tiny_model, "w3 w4", decoder="psd", gen_length=16)[0]
    assert len(parse(one._repr_html_()).titles) == one.n_tokens
