"""Decoders as values: what they are found by, and that no printed word decides anything."""

import json
from collections import Counter

import pandas as pd
import pytest
from support.report_rows import CONFIGS, everything, row, rows

from psd_lab import decoders, paths
from psd_lab.report import best, catalog, claims, figures, naming, paradigms, readings, tables
from psd_lab.report import rows as rows_of
from psd_lab.report.figures.style import look
from psd_lab.report.identity import Decoder, Family
from psd_lab.report.selector import Selector, family, select
from psd_lib import CACHES, DECODERS
from psd_lib.errors import UserError


@pytest.fixture
def facts():
    """What a test learns about decoders is forgotten after it."""
    yield
    catalog.forget()


def test_the_catalog_is_not_older_than_the_decoders():
    stored = json.loads((paths.DATA / catalog.FILE).read_text(encoding="utf-8"))
    packages = {
        kind: {name: value for name, value in known.items() if is_packages(kind, name)}
        for kind, known in decoders.described().items()
    }
    assert stored == packages, "run `python -m psd_lab.decoders` and commit the file"


def is_packages(kind, name):
    """Whether a strategy is the package's own: other tests may have registered theirs."""
    if kind == "decoder":
        return type(DECODERS[name].policy).__module__.startswith("psd_lib.")
    return {**decoders.REGISTRIES, "cache": CACHES}[kind][name].__module__.startswith("psd_lib.")


def drafted():
    """Rows of every kind of decoder on one model, all of whose calls were offered drafts."""
    found = everything().query("model == 'tiny'")
    zeros = {"accepted": 0, "drafted": 3, "committed": 1, "block": 0}
    stats = [{key: [value] * calls for key, value in zeros.items()} for calls in found.nfe]
    return rows_of.prepare(found.assign(step_stats=stats))


def reported(results):
    """Everything that reports say of the rows, numbers and looks apart from words."""
    numbers = [
        claims.table(results, "c").data,
        tables.main(results, "m", "T.").data,
        tables.paper(results, "p", "T.").data,
        tables.exactness(results, "e", "T.").data,
        best.cells(results).drop(columns="why"),
        paradigms.table(results, "k", "T.").data[["model", "value", "low", "high", "n"]],
    ]
    frames = [frame.drop(columns=["family", "policy"], errors="ignore") for frame in numbers]
    verdicts = list(claims.table(results, "c").shown.verdict)
    axes = figures.pareto(results, "f", "T.").figure.axes
    drawn = [(line.get_color(), line.get_marker()) for ax in axes for line in ax.lines]
    said = [len(reading(results).sentences) for reading in (readings.combined, readings.contrast)]
    return frames, (verdicts, drawn, said)


@pytest.mark.thorough
def test_renaming_every_method_changes_nothing_but_words(facts):
    results = drafted()
    frames, rest = reported(results)
    titles = set(tables.main(results, "m", "T.").data.family.map(str))
    shipped = catalog.shipped()
    catalog.learn(
        {
            kind: {name: {**known, "title": f"{name}, renamed"} for name, known in facts.items()}
            for kind, facts in shipped.items()
            if kind != "cache"
        }
    )
    again = drafted()
    frames_again, rest_again = reported(again)
    renamed = set(tables.main(again, "m", "T.").data.family.map(str))
    assert len(titles) > 15 and not titles & renamed
    assert rest_again == rest and Counter(rest[0])["not tested"] < len(rest[0])
    for before, after in zip(frames, frames_again, strict=True):
        pd.testing.assert_frame_equal(before, after)


@pytest.mark.parametrize(
    ("given", "title"),
    [
        ({"decoder": "greedy"}, "greedy"),
        ({"decoder": "top_k", "k": 1}, "greedy"),
        ({"decoder": "psd", "policy": "top_k", "k": 1, "depth": 0}, "greedy"),
        ({"decoder": "top_k", "k": 8}, "top-k"),
        ({"decoder": "psd"}, "PSD (confidence)"),
        ({"decoder": "psd", "depth": 0}, "confidence"),
        ({"decoder": "psd", "acceptor": "token_chain"}, "PSD (confidence), token_chain"),
        ({"decoder": "psd", "policy": "local_leap"}, "PSD (LocalLeap)"),
        ({"decoder": "psd", "policy": "top_k", "k": 1}, "Spiffy chain"),
        ({"decoder": "spiffy"}, "Spiffy chain"),
        ({"decoder": "spiffy", "drafter": "calibrated"}, "Spiffy, calibrated"),
        ({"decoder": "freedave", "eager": True}, "FreeDave, eager"),
        ({"decoder": "freedave", "policy": "confidence"}, "FreeDave (confidence)"),
        ({"decoder": "fdm", "k": 1}, "FDM"),
        ({"decoder": "prophet"}, "Prophet"),
        ({"decoder": "psd", "stop": "sched", "depth": 0}, "confidence, SchED"),
        ({"decoder": "left_to_right", "block_length": 1}, "AR decoding"),
        ({"decoder": "left_to_right"}, "left-to-right"),
    ],
    ids=lambda value: None if isinstance(value, dict) else value,
)
def test_selectors_read_like_the_arguments_of_generate(given, title):
    assert str(Selector.parse(given).family) == title


@pytest.mark.parametrize("name", CONFIGS)
def test_a_selector_of_a_configurations_own_words_finds_it(name):
    results = rows_of.prepare(pd.DataFrame([row(key, 0) for key in CONFIGS]))
    config = CONFIGS[name].to_dict()
    said = {"decoder": config["decoder"]}
    exchanged = catalog.method(config["decoder"]).exchanged
    said |= {
        kind: config["builder" if kind == "drafter" else kind]["name"]
        for kind in exchanged
        if config.get("builder" if kind == "drafter" else kind)
    }
    if "k" in config["builder"]:
        said["k"] = config["builder"]["k"]
    elif config["builder"].get("depth"):
        said["depth"] = config["builder"]["depth"]
    assert results.find(**said) == Decoder.of(config, "tiny")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("psd", "must be a mapping with a decoder"),
        ({"policy": "confidence"}, "must be a mapping with a decoder"),
        ({"decoder": "PSD"}, r"unknown decoder 'PSD'.*; choose one of: apd, "),
        ({"decoder": "psd", "policy": "LocalLeap"}, "unknown policy 'LocalLeap'"),
        ({"decoder": "psd", "drafter": "chian"}, r"'chian' \(did you mean 'chain'\?\)"),
        (
            {"decoder": "psd", "polcy": "confidence"},
            r"no key 'polcy' \(did you mean 'policy'\?\); it accepts: policy",
        ),
        ({"decoder": "psd", "treshold": 0.9}, "has no key 'treshold'"),
        ({"decoder": "psd", "policy": "local_leap", "k": 3}, "has no key 'k'"),
        ({"decoder": "greedy", "threshold": 0.9}, "has no key 'threshold'"),
        ({"decoder": "spiffy", "policy": "confidence"}, "has no choice of policy"),
        ({"decoder": "confidence", "depth": 3}, "drafts nothing"),
        ({"decoder": "psd", "depth": "3"}, "whole number from 0, got '3'"),
        ({"decoder": "confidence", "threshold": "0.9"}, "must be a number, got '0.9'"),
        ({"decoder": "freedave", "eager": 1}, "must be true or false, got 1"),
        ({"decoder": "psd", "cache": "exactly"}, "unknown cache 'exactly'"),
        ({"decoder": "psd", "family": "PSD"}, "has no key 'family'"),
    ],
)
def test_what_a_selector_cannot_mean_is_refused(given, message):
    with pytest.raises(UserError, match=message):
        Selector.parse(given)


def test_a_selector_that_fits_several_decoders_is_refused():
    make = CONFIGS["psd"].__class__.make
    several = [row("x", 0, config=make("psd", threshold=t, depth=3)) for t in (0.8, 0.9)]
    results = rows_of.prepare(pd.DataFrame(several))
    with pytest.raises(UserError, match=r"describes several decoders .*; add the options"):
        results.find(decoder="psd", depth=3)
    assert results.find(decoder="psd", depth=3, threshold=0.8) == next(iter(results.parts))
    assert results.find(decoder="psd", depth=5) is None


def test_one_policy_under_two_names_is_not_two_decoders():
    make = CONFIGS["psd"].__class__.make
    both = [row("x", 0, config=make("psd", depth=0)), row("confidence", 0)]
    results = rows_of.prepare(pd.DataFrame(both))
    assert results.find(decoder="confidence").decoder == "psd"


def test_run_options_tell_decoders_apart():
    make = CONFIGS["psd"].__class__.make
    rows = [row("x", 0, config=make("confidence", temperature=t)) for t in (0.0, 0.7)]
    results = rows_of.prepare(pd.DataFrame(rows))
    assert results.find(decoder="confidence", temperature=0.7).temperature == 0.7
    with pytest.raises(UserError, match="several decoders"):
        results.find(decoder="confidence")


def test_what_rows_store_besides_is_part_of_the_decoder():
    decode = CONFIGS["greedy"].to_dict()
    assert Decoder.of(decode) == Decoder.of(dict(reversed(decode.items())))
    assert Decoder.of(decode) != Decoder.of({**decode, "switch": True})


def test_a_family_without_a_look_has_the_same_spare_look_everywhere():
    unknown = Family("mine", "psd", "chain", "replay")
    assert look(unknown)[0] == look(Family("mine", "psd", "chain", "subset"))[0]
    assert look(family(decoder="psd", acceptor="subset")) == (look(family(decoder="psd"))[0], "*")


def test_an_unknown_decoder_goes_by_its_name():
    decode = CONFIGS["psd"].to_dict()
    decode = {**decode, "decoder": "theirs", "policy": {"name": "theirs", "size": 3}}
    assert str(Decoder.of(decode).family) == "theirs"
    assert naming.point(Decoder.of({**decode, "builder": {"name": "none"}})) == "3"


def test_what_a_user_registered_is_explained_by_what_its_rows_bring_along(facts):
    theirs = {"title": "Theirs", "options": {"size": 3}, "note": "Theirs: read from its code."}
    decode = {**CONFIGS["confidence"].to_dict(), "policy": {"name": "theirs", "size": 5}}
    stored = pd.DataFrame([{**row("confidence", 0), "decode": {**decode, "decoder": "theirs"}}])
    assert rows_of.prepare(stored).notes == ()
    usual = {kind: {"name": name} for kind, name in (("drafter", "none"), ("acceptor", "replay"))}
    usual |= {"policy": {"name": "theirs", "size": 3}}
    decoder = {"title": "Theirs", "usual": usual, "open": ["policy"]}
    stored.attrs["registered"] = {"policy": {"theirs": theirs}, "decoder": {"theirs": decoder}}
    results = rows_of.prepare(stored)
    assert results.notes == ("Theirs: read from its code.",)
    assert str(results.find(decoder="theirs", size=5).family) == "Theirs"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ("{ours: {decoder: psd}, base: {decoder: greedy}}", "has no key 'margin'"),
        ("{ours: {decoder: psd}, base: {decoder: greedy}, margin: 1, n: 2}", "unknown key 'n'"),
        ("{ours: {decoder: psd}, base: {decoder: greedy}, margin: wide}", "margin of the param"),
        ("{ours: {decoder: pds}, base: {decoder: greedy}, margin: 1}", "claim 'a': unknown dec"),
        ("{ours: {family: PSD}, base: {decoder: greedy}, margin: 1}", "claim 'a': a selector must"),
    ],
)
def test_a_claims_file_with_a_typo_is_refused(parameters, message, tmp_path, monkeypatch):
    monkeypatch.setattr("psd_lab.paths.DATA", tmp_path)
    text = "- {id: a, source: s, claim: c, rule: r, test: keeps, parameters: %s}\n"
    (tmp_path / "claims.yaml").write_text(text % parameters, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        claims.load()


def test_a_claim_about_an_unknown_task_is_refused():
    claim = next(claim for claim in claims.load() if claim.test == "loses_more")
    with pytest.raises(UserError, match=r"unknown task 'mini-gms' \(did you mean 'mini-gsm'\?\)"):
        claims.Claim(
            "a",
            "s",
            "c",
            "r",
            "loses_more",
            {**claim.parameters, "reference": "mini-gms"},
        )


def test_colours_belong_to_families_of_decoders_that_exist():
    results = rows_of.prepare(rows())
    assert select(decoder="psd", depth=3).matches(results.find(decoder="psd", depth=3))
    assert not select(decoder="psd", depth=3).matches(results.find(decoder="spiffy"))
