"""What `psd decoders`, `psd methods` and `psd models` print."""

import pytest

from psd_lab import listings
from psd_lab.page import Table
from psd_lib import DECODERS, STOPS
from psd_lib.core.parts import open_fields, parts_of


def tables(page):
    return [part for part in page if isinstance(part, Table)]


def texts(page):
    return [part for part in page if isinstance(part, str)]


def test_every_decoder_is_listed_with_its_parts():
    assert listings.parts(DECODERS["psd"]) == ["confidence*", "chain*", "replay*", "-*"]
    assert listings.parts(DECODERS["lopa"]) == ["confidence", "lookahead", "best_mean", "-"]
    assert listings.parts(DECODERS["prophet"]) == ["top_k*", "-", "-", "prophet*"]
    (table,) = tables(listings.decoders())
    assert table.header[0] == "DECODER"
    assert [row[0] for row in table.rows] == list(DECODERS)


def test_stop_rules_are_named():
    (line,) = [line for line in texts(listings.decoders()) if line.startswith("stop rule (-o stop")]
    assert all(name in line for name in STOPS)


def test_a_decoder_is_explained_with_defaults_and_meanings():
    parts, options = tables(listings.decoder("local_leap"))
    assert [row[:2] for row in parts.rows] == [("policy", "local_leap")]
    rows = {row[0]: row[1:] for row in options.rows}
    assert rows["relaxed_threshold"][:2] == ("0.75", "local_leap")
    assert rows["radius"] == ("4", "local_leap", "how far an anchor's neighbourhood reaches")
    assert rows["temperature"][:2] == ("0.0", "run")
    assert rows["block_length"][0] == "null"
    assert "policy" not in rows


@pytest.mark.parametrize(
    ("name", "outputs", "rule"),
    [
        ("psd", "exact (drafts save calls", "reconstructed ("),
        ("lopa", "approximate (outputs may differ", "reconstructed ("),
        ("confidence", "policy (commits step by step", "as published ("),
    ],
)
def test_a_decoder_says_what_its_outputs_are_and_what_is_reconstructed(name, outputs, rule):
    said = dict(line.split(": ", 1) for line in texts(listings.decoder(name))[:3])
    assert said[name] == DECODERS[name].source
    assert said["outputs"].startswith(outputs)
    assert said["rule"].startswith(rule)
    notes = [line for line in texts(listings.decoder(name)) if line.startswith("note: ")]
    assert bool(notes) == rule.startswith("reconstructed")


@pytest.mark.parametrize("name", DECODERS)
def test_every_option_that_a_user_may_set_is_explained(name):
    chosen = DECODERS[name]
    *_, table = tables(listings.decoder(name))
    meanings = {row[0]: row[3] for row in table.rows}
    options = {
        option.name
        for kind, part in parts_of(chosen).items()
        if kind in chosen.options and part is not None
        for option in open_fields(part)
    }
    assert set(meanings) == {*options, *chosen.exchange, *listings.RUN}
    assert all(meanings.values())


def test_methods_stand_in_the_order_of_their_papers():
    (table,) = tables(listings.methods())
    rows = {row[1]: row for row in table.rows}
    assert list(rows) != list(DECODERS) and set(rows) == set(DECODERS)
    papers = [row[0] for row in table.rows if row[0] != "-"]
    assert papers == sorted(papers)
    assert rows["psd"] == ("2605.15609", "psd", "exact", "reconstructed", "PSD")
    assert rows["prophet"][2:4] == ("approximate", "reconstructed")
    assert rows["wino"][2:4] == ("policy", "as published")
