"""Eager drafts cross block boundaries and change nothing but the number of calls.

The models compute in float64: calls of other shapes round differently, and tiny models come close
to ties.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from support.models import EagerEos, make_prompts
from support.reference import reference_states, traced_states

import psd_lib
from psd_lib import DecodeConfig
from psd_lib.core.cache import CachePlan, visibility
from psd_lib.core.canvas import Canvas
from psd_lib.core.policies import Threshold, TopK
from psd_lib.core.scores import Scores
from psd_lib.errors import UserError
from psd_lib.methods.exact_block import PackedForward
from psd_lib.methods.freedave import EagerChain, RunningEagerChain
from psd_lib.methods.local_leap import LocalLeap
from psd_lib.methods.wide_window import OpenBlockPolicy, WideCanvas
from psd_lib.models import FAMILIES
from psd_lib.testing import step_of, tiny_model

pytestmark = pytest.mark.filterwarnings("ignore:block_length . does not divide")
M = 1  # the mask token
GEN = 22  # not a multiple of the block length: the last block is shorter
POLICIES = {
    "greedy": {},
    "top_k": {"policy": "top_k", "k": 3, "tokens_per_level": 3},
    "confidence": {"policy": "confidence", "threshold": 0.5},
    "confidence-levels": {"policy": "confidence", "threshold": 0.5, "tokens_per_level": "policy"},
    "local_leap": {"policy": "local_leap", "threshold": 0.6, "relaxed_threshold": 0.4, "radius": 2},
    "entropy_bound": {"policy": "entropy_bound", "bound": 1.0},
}


def double(seed, width=4, family="sdar", eos_bonus=0.0):
    model = tiny_model(seed, width, family=family)
    if "moe" not in family:  # grouped matrix products know no float64
        model.denoiser.network.double()
    return replace(model, denoiser=EagerEos(model.denoiser, eos_bonus))


def freedave(model, prompts, eager, **options):
    return psd_lib.generate(
        model, prompts, "freedave", batch_size=4, **{"gen_length": GEN, "eager": eager, **options}
    )


def same(one, other):
    assert (one.tokens, one.stopped) == (other.tokens, other.stopped)
    assert (
        one.trace.tokens.tolist() == other.trace.tokens.tolist()
        and one.trace.step.tolist() == other.trace.step.tolist()
    )


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("cache", ["none", "exact_block"])
def test_invariant_20_eager_drafts_change_nothing_but_the_calls(policy, cache):
    """That no sequence needs more calls is no theorem (a longer jump starts the next drafts
    elsewhere), but holds here.
    """
    calls = torch.zeros(2, dtype=torch.long)
    for seed, depth in ((0, 1), (1, 3), (2, 7)):
        model, prompts = double(seed, eos_bonus=3.0 * seed), make_prompts(seed, 5)
        plain, eager = (
            freedave(model, prompts, on, depth=depth, cache=cache, **POLICIES[policy])
            for on in (False, True)
        )
        for one, other in zip(plain, eager, strict=True):
            same(one, other)
            assert other.nfe <= one.nfe
            calls += torch.tensor([one.nfe, other.nfe])
    assert calls[1] < calls[0]


def test_eager_states_are_the_references_also_at_temperature():
    model, prompts = double(4, eos_bonus=8.0), make_prompts(4, 6)
    config = DecodeConfig.make(
        "freedave",
        policy="confidence",
        threshold=0.5,
        eager=True,
        depth=5,
        gen_length=GEN,
        temperature=0.7,
    )
    out = psd_lib.generate(model, prompts, config=config)
    for index, (prompt, sequence) in enumerate(zip(prompts, out, strict=True)):
        assert traced_states(model, prompt, sequence) == reference_states(
            model, prompt, config, index
        )
    assert {sequence.stopped for sequence in out} == {"eos", "length"}


@pytest.mark.parametrize(
    "family", [name for name, family in FAMILIES.items() if not family.sees_future]
)
def test_every_family_without_sight_of_the_future_fits_with_either_cache(family):
    model, prompts = double(0, 1 if family == "qwen3" else 4, family), make_prompts(1, 3)
    options = {"policy": "confidence", "threshold": 0.5, "depth": 3, "gen_length": 14}
    bare = freedave(model, prompts, False, **options)
    plain, cached = (
        freedave(model, prompts, True, cache=cache, **options) for cache in ("none", "exact_block")
    )
    for one, other, stored in zip(bare, plain, cached, strict=True):
        same(one, other)
        same(one, stored)
        assert (other.nfe, other.rows, other.trace.iterations) == (
            stored.nfe,
            stored.rows,
            stored.trace.iterations,
        )
    assert cached.ledger.query_tokens < plain.ledger.query_tokens


class Sure:
    """A denoiser that predicts token 2 + (column % 5) wherever it is asked, so that every draft is
    right, and surer on the left.
    """

    def __init__(self, denoiser, eos_at=None):
        self.denoiser, self.eos_at = denoiser, eos_at

    def __getattr__(self, name):
        return getattr(self.denoiser, name)

    def logits(self, ids, positions, visible, row, column, stored=None, new=None):
        logits = self.denoiser.logits(ids, positions, visible, row, column, stored, new)
        place = positions[row, column]
        token = torch.where(place == (-1 if self.eos_at is None else self.eos_at), 0, 2 + place % 5)
        return torch.nn.functional.one_hot(token, logits.shape[-1]) * (9 - 0.1 * place[:, None])


@pytest.mark.parametrize("cache", ["none", "exact_block"])
def test_right_drafts_are_all_accepted_across_blocks(cache):
    """Blocks of 4, depth 7: 1 + 7 positions a call, but 1 + 3 right after a walk that went past all
    that was scored.
    """
    model = tiny_model(0, 4)
    model = replace(model, denoiser=Sure(model.denoiser))
    out = freedave(model, [[3, 4, 5, 6], [7, 8, 9, 3]], True, depth=7, gen_length=20, cache=cache)
    plain = freedave(
        model, [[3, 4, 5, 6], [7, 8, 9, 3]], False, depth=7, gen_length=20, cache=cache
    )
    for sequence in out:
        assert sequence.tokens == [2 + place % 5 for place in range(4, 24)]
        assert [entry["committed"] for entry in sequence.trace.iterations] == [8, 4, 8]
        assert [entry["block"] for entry in sequence.trace.iterations] == [0, 2, 3]
        assert sequence.trace.step.tolist() == list(range(20))
        assert sequence.trace.depth.tolist() == [*range(8), *range(4), *range(8)]
        assert sequence.trace.iteration.tolist() == [0] * 8 + [1] * 4 + [2] * 8
    assert [sequence.nfe for sequence in out] == [4, 4] and [
        sequence.nfe for sequence in plain
    ] == [6, 6]


@pytest.mark.parametrize("cache", ["none", "exact_block"])
def test_eos_inside_the_second_block_ends_the_accepted_path(cache):
    model = tiny_model(0, 4)
    model = replace(model, denoiser=Sure(model.denoiser, eos_at=10))
    plain, eager = (
        freedave(model, [[3, 4, 5, 6], [7, 8]], on, depth=7, gen_length=20, cache=cache)
        for on in (False, True)
    )
    for one, other in zip(plain, eager, strict=True):
        same(one, other)
        assert other.stopped == "eos" and len(other.tokens) in (6, 8)
        assert other.nfe < one.nfe


def test_recorded_scores_are_those_of_the_current_block_alone():
    model = double(0)
    plain, eager = (
        freedave(model, [[3, 4, 5]], on, depth=3, record_scores=True)[0] for on in (False, True)
    )
    before = {
        tuple(entry["positions"]): entry["confidence"].tolist() for entry in plain.trace.scores
    }
    shared = [entry for entry in eager.trace.scores if tuple(entry["positions"]) in before]
    assert len(shared) > 2 and all(len(entry["positions"]) <= 4 for entry in eager.trace.scores)
    for entry in shared:
        assert entry["confidence"].tolist() == pytest.approx(
            before[tuple(entry["positions"])], abs=1e-5
        )


def test_the_store_gets_every_block_that_a_walk_finished(monkeypatch):
    """Two blocks at once as well: the stored K/V are those of a fresh pass over decided tokens."""
    crossed = []
    keep = PackedForward._keep

    def spy(session, start):
        old = session.start
        keep(session, start)
        crossed.extend(((start - old) // session.canvas.width).tolist())
        canvas, size = session.canvas, int(start.max())
        positions, fresh, one = canvas.positions[:, :size], [], torch.zeros(1, dtype=torch.long)
        visible = visibility(positions, canvas.blocks[:, :size], sees_future=False)
        session.denoiser.logits(canvas.ids[:, :size], positions, visible, one, one, new=fresh)
        for stored, made in zip(session.store, fresh, strict=True):
            for sequence, end in enumerate(start.tolist()):
                first = int(canvas.pad[sequence])
                for a, b in zip(stored, made, strict=True):
                    torch.testing.assert_close(a[sequence, :, first:end], b[sequence, :, first:end])

    monkeypatch.setattr(PackedForward, "_keep", spy)
    model = tiny_model(0, 4)
    freedave(
        replace(model, denoiser=Sure(model.denoiser)),
        [[3, 4, 5, 6], [7, 8]],
        True,
        depth=7,
        cache="exact_block",
    )
    assert {1, 2} <= set(crossed)


def test_drafts_fill_block_after_block_and_no_level_has_parts_of_two():
    def build(size, stale, confidence, depth=3):
        node0 = torch.tensor([[7, M, M, M]])
        scores = Scores(torch.tensor([stale]), torch.tensor([confidence]))
        return RunningEagerChain(EagerChain(depth, size, True), 2).draft(
            step_of(node0, node0 == M, scores, TopK(1), torch.tensor([1]))
        )

    drafts = build(2, [7, 4, 2, 3], [1.0, 0.1, 0.5, 0.9])
    assert drafts.tokens[0, :3].tolist() == [[7, M, M, M], [7, 4, M, M], [7, 4, 2, 3]]
    assert drafts.valid.tolist() == [[True, True, True, False]]
    drafts = build(1, [7, 4, 2, 3], [1.0, 0.1, 0.5, 0.9])
    assert drafts.tokens[0].tolist() == [[7, M, M, M], [7, 4, M, M], [7, 4, M, 3], [7, 4, 2, 3]]
    drafts = build(
        1, [7, 4, M, M], [1.0, 0.1, 0.0, 0.0]
    )  # the second block has not been scored yet
    assert drafts.tokens[0, 1].tolist() == [7, 4, M, M] and drafts.valid.tolist() == [
        [True, True, False, False]
    ]


def test_the_policy_is_shown_the_first_open_block_alone():
    confidence = torch.tensor(
        [[0.95, 0.2, 0.6, 0.6, 0.95, 0.95], [0.2, 0.3, 0.95, 0.95, 0.95, 0.95]]
    )
    masked = torch.tensor([[0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]]).bool()
    scores = Scores(torch.zeros(2, 6, dtype=torch.long), confidence)
    assert OpenBlockPolicy(Threshold(0.9), 2).select(scores, masked).int().tolist() == [
        [0, 0, 1, 0, 0, 0],
        [0, 1, 0, 0, 0, 0],
    ]
    leap = OpenBlockPolicy(
        LocalLeap(0.9, 0.5, 4), 2
    )  # neighbours in the next block do not relax anything
    assert leap.select(scores, masked).int().tolist() == [[0, 0, 1, 0, 0, 0], [0, 1, 0, 0, 0, 0]]
    assert not OpenBlockPolicy(TopK(2), 2).select(scores, torch.zeros_like(masked)).any()


def test_the_window_moves_past_complete_blocks_and_takes_its_scores_along():
    canvas = WideCanvas(tiny_model(0, 2).denoiser, [[5, 6], [5, 6], [5, 6]], 6, 2, "cpu", reach=1)
    tokens = torch.tensor([[7, 8, M, M], [7, M, M, M], [7, 0, M, M]])
    open_ones = torch.zeros(3, dtype=torch.bool)
    canvas.write(tokens, open_ones, torch.tensor([False, False, True]))
    assert canvas.start.tolist() == [4, 2, 2] and canvas.done.tolist() == [False, False, True]
    carried = canvas.align(
        Scores(torch.tensor([[7, 8, 3, 4]] * 3), torch.tensor([[0.1, 0.2, 0.3, 0.4]] * 3))
    )
    assert carried.token.tolist() == [[3, 4, M, M], [7, 8, 3, 4], [7, 8, 3, 4]]
    torch.testing.assert_close(
        carried.confidence,
        torch.tensor([[0.3, 0.4, 0, 0], [0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 0.4]]),
    )


@pytest.mark.parametrize(
    ("chain", "reach"),
    [((3, 1), 1), ((4, 1), 2), ((7, 1), 2), ((7, 2), 4), ((3, 9), 4), ((3, "policy"), 4)],
)
def test_windows_reach_as_far_as_drafts_can(chain, reach):
    assert EagerChain(*chain, True).blocks_ahead(4) == reach


def test_windows_reach_no_further_than_the_canvas_and_without_drafts_not_at_all(monkeypatch):
    reached = []
    begin = Canvas.__init__
    monkeypatch.setattr(
        Canvas, "__init__", lambda self, *args: (reached.append(args[5:]), begin(self, *args))[1]
    )
    model = double(0)
    freedave(model, [[3]], True, depth=40, gen_length=7)
    freedave(model, [[3]], True, depth=0, gen_length=7)
    assert reached == [(2,), ()]


def test_eager_is_part_of_the_config_only_where_it_is_on():
    off, on = (DecodeConfig.make("freedave", depth=7, eager=eager) for eager in (False, True))
    assert off.to_dict()["builder"] == {"name": "chain", "depth": 7, "tokens_per_level": 1}
    assert on.to_dict()["builder"] == {
        "name": "chain",
        "depth": 7,
        "tokens_per_level": 1,
        "eager": True,
    }
    assert (off.label, on.label) == ("freedave(top-k 1, d=7)", "freedave(top-k 1, d=7, eager)")
    assert (
        on.exact and DecodeConfig.make("psd", eager=True).label == "psd(confidence 0.9, d=3, eager)"
    )


@dataclass(frozen=True)
class OtherCache(CachePlan):
    name: ClassVar[str] = "other"


@dataclass(frozen=True)
class OneBlockPolicy(TopK):
    name: ClassVar[str] = "one_block"
    no_drafts: ClassVar[str] = "it remembers the block"


REFUSED = {
    "bidirectional": (
        {"model": {"sees_future": True}},
        "needs a block-causal model, such as the sdar family.*leave eager out",
    ),
    "cache": (
        {"cache": OtherCache()},
        "cache 'other' does not fit eager drafting; use 'none' or 'exact_block'",
    ),
    "acceptor": ({"acceptor": "subset"}, "exact under acceptor 'replay' only, got 'subset'"),
    "stop": ({"decoder": "psd", "stop": "prophet"}, "cannot be combined with stop rule 'prophet'"),
    "policy": (
        {"policy": OneBlockPolicy(), "depth": 0},
        "cannot be combined with policy 'one_block', which follows one block at a time",
    ),
    "value": ({"eager": 1}, "eager must be True or False, got 1"),
    "decoder": ({"decoder": "psd", "drafter": "order_swap"}, "has no option 'eager'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_eager_drafts_do_not_fit_is_refused_with_what_would(case):
    options, words = REFUSED[case]
    model = tiny_model(0, 4, **options.get("model", {}))
    options = {
        "decoder": "freedave",
        "eager": True,
        **{name: value for name, value in options.items() if name != "model"},
    }
    with pytest.raises(UserError, match=words):
        psd_lib.generate(model, [[3]], gen_length=8, **options)
