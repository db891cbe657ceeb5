"""The one decoding loop: policy step, drafts, one batched call, walk, reuse of the accepted node's
logits.

Every decoder of the package runs here; methods differ only in the plugs of their `DecodeConfig`.
The loop knows nothing of text. It keeps S sequences on the device, each in its own block at its own
pace, and reads the host exactly once an iteration: to learn which guessed states still need a
forward. Finished sequences stop producing rows.

    state x, scores p of x (one call at the start)
    repeat:  node 0 = x + policy(p)                      certain
             nodes  = node 0 + guesses above it          no call
             scores = model(nodes)                       ONE call, one row per node
             walk from node 0 while the acceptor agrees  recorded states
             x, p   = last state of the walk, its scores no further call
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from psd_lib.decoding.acceptance import walk
from psd_lib.decoding.binding import begin
from psd_lib.decoding.caches import Answer, Ask, to_device
from psd_lib.decoding.canvas import Canvas
from psd_lib.decoding.denoiser import Denoiser
from psd_lib.decoding.drafts import Drafts
from psd_lib.decoding.eager import OpenBlock, open_canvas
from psd_lib.decoding.presets import DecodeConfig
from psd_lib.decoding.scores import Scores, ban, position_gumbel, score
from psd_lib.decoding.stops import Stopping
from psd_lib.decoding.trace import Recorder, Recording
from psd_lib.errors import UserError


@dataclass(frozen=True)
class Nodes:
    """S x N states in the current window, with what the loop needs to know of each, bool `[S, N]`.

    With eager drafts the window is wider than a block, here and wherever the loop says `W`.

    `complete`: nothing masked in the window; `final`: decoding ends there (EOS with nothing masked
    before it, or the last block complete); `valid`: the node exists.
    """

    tokens: Tensor
    masked: Tensor
    complete: Tensor
    final: Tensor
    valid: Tensor


@torch.inference_mode()
def decode(
    denoiser: Denoiser,
    prompts: list[list[int]],
    config: DecodeConfig,
    block_length: int,
    absolute_blocks: bool,
    device: torch.device | str = "cpu",
    index: list[int] | None = None,
    record_scores: bool = False,
) -> Recording:
    """Decode prompts (token ids, of any lengths) together and return what happened.

    `block_length` and `absolute_blocks` (blocks counted from position 0 rather than from the
    prompt's end) are the resolved values for this model. `index` numbers the prompts for the noise
    at temperature > 0, so that a prompt's sample does not depend on the batch that it is in.
    Prompts must be checked by the caller. Raises UserError when the policy breaks its promise to
    commit something.
    """
    canvas = open_canvas(denoiser, prompts, config, block_length, absolute_blocks, device)
    seeds = torch.tensor(index or range(len(prompts)), device=device) + (config.seed << 20)
    recorder = Recorder(canvas, record_scores)
    loop = Loop(denoiser, config, canvas, seeds, recorder)
    scores = loop.first_scores()
    for _ in range(
        config.gen_length
    ):  # every iteration commits a position of every unfinished sequence
        scores = loop.iterate(scores)
        if scores is None:
            return recorder.finish()
    raise UserError(
        f"policy {config.policy.name!r} selected nothing where positions were masked; it must"
        " select at least one."
    )


class Loop:
    """One batch being decoded. `iterate` is the whole algorithm; the rest prepares and reads its
    one call.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        config: DecodeConfig,
        canvas: Canvas,
        seeds: Tensor,
        recorder: Recorder,
    ):
        self.denoiser, self.config, self.canvas = denoiser, config, canvas
        self.seeds, self.recorder = seeds, recorder
        self.asked = torch.ones(
            len(seeds), dtype=torch.bool
        )  # host: who took part in the last call
        self.session = config.cache.open(denoiser, canvas)
        self.policy, self.builder, self.acceptor = (
            begin(p, self) for p in (config.policy, config.builder, config.acceptor)
        )
        if config.stop is not None:
            self.policy = Stopping(self.policy, begin(config.stop, self), canvas)
        if canvas.reach:
            self.policy = OpenBlock(self.policy, canvas.width)
        self.detail = recorder.record_scores or any(
            getattr(p, "needs_detail", False) for p in (self.policy, self.acceptor)
        )

    def first_scores(self) -> Scores:
        """Scores `[S, W]` of the undecided canvas: the one call that no later call makes up for."""
        tokens, masked = self.canvas.window()
        none = torch.zeros_like(masked[:, :1])
        nodes = Nodes(tokens[:, None], masked[:, None], none, none, ~none)
        return self._forward(nodes, "first").map(lambda value: value[:, 0])

    def iterate(self, scores: Scores) -> Scores | None:
        """One policy step and as many accepted drafts as there are; None when every sequence is
        finished.
        """
        policy, canvas = self.policy, self.canvas
        tokens, masked = canvas.window()
        commit = policy.select(scores, masked) & masked
        node0 = torch.where(commit, scores.token, tokens)
        if hasattr(policy, "revoke"):
            revoked = policy.revoke(commit, masked) & ~masked & ~canvas.done[:, None]
            node0 = torch.where(revoked, canvas.mask_id, node0)
            self.recorder.forget(revoked)
        drafts = self.builder.build(node0, masked & ~commit, scores, policy, commit.sum(-1))
        nodes = self._judge(drafts.tokens, drafts.valid)
        predicted = self._forward(nodes, "verify")
        path, length = self._walk(drafts, nodes, predicted)
        self.recorder.record(scores, masked, nodes, predicted, path, length)
        last = path.gather(1, length[:, None] - 1)
        self.session.settle(last[:, 0])
        canvas.write(
            _pick(nodes.tokens, last), _pick(nodes.complete, last), _pick(nodes.final, last)
        )
        return (
            None
            if predicted is None
            else canvas.carry(predicted.map(lambda value: _pick(value, last)))
        )

    def _walk(
        self, drafts: Drafts, nodes: Nodes, predicted: Scores | None
    ) -> tuple[Tensor, Tensor]:
        """The states reached, `(path [S, N], length [S])`; node 0 alone when there is nothing above
        it to verify.
        """
        if predicted is None or nodes.valid.shape[1] == 1:
            path = torch.zeros_like(nodes.valid, dtype=torch.long)
            return path, torch.ones_like(path[:, 0])
        step = self.policy.select(predicted, nodes.masked) & nodes.masked
        targets = torch.where(step, predicted.token, nodes.tokens)
        live = nodes.valid & ~nodes.final & ~nodes.complete
        if hasattr(self.acceptor, "choose"):
            return self.acceptor.choose(drafts, predicted, nodes.masked, targets, live)
        return walk(self.acceptor.reach(drafts, predicted, targets), drafts, live)

    def _judge(self, tokens: Tensor, valid: Tensor) -> Nodes:
        """Which of the guessed states are complete or final, and which exist at all."""
        canvas = self.canvas
        masked = tokens == self.denoiser.mask_id
        complete = ~masked.any(-1)
        final = canvas.ends(tokens, masked) | (complete & canvas.last_block()[:, None])
        exists = valid & ~canvas.done[:, None]
        if not getattr(self.builder, "alternatives", False):
            exists[:, 1:] &= ~final[
                :, :1
            ]  # a sequence that ends with its certain step needs no guesses
        return Nodes(tokens, masked, complete, final, exists)

    def _forward(self, nodes: Nodes, kind: str) -> Scores | None:
        """Scores `[S, N, W]` of all nodes from one call, or None when no node needs one.

        A complete node is asked about the next block, so that crossing a block boundary costs no
        call; a final node is asked nothing. Where a position is not masked, `token` is the token
        that stands there.
        """
        canvas = self.canvas
        ahead_tokens, ahead_masked = canvas.window(ahead=1)
        asked_tokens = torch.where(nodes.complete[..., None], ahead_tokens[:, None], nodes.tokens)
        asked = torch.where(nodes.complete[..., None], ahead_masked[:, None], nodes.masked)
        wanted = asked & (nodes.valid & ~nodes.final)[..., None]
        sizes = [wanted[0].numel(), nodes.complete.shape[1], 1]
        host = torch.cat(
            [wanted.flatten(1), nodes.complete, canvas.start[:, None]], 1
        ).cpu()  # the iteration's one host read
        wanted_host, complete_host, start = host.split(sizes, 1)
        wanted_host = wanted_host.reshape(wanted.shape).bool()
        self.asked = wanted_host.flatten(1).any(-1)
        if not self.asked.any():
            return None
        ask = Ask(nodes.tokens, wanted_host, complete_host.bool(), start[:, 0])
        with self.recorder.call(kind, wanted_host.any(-1)) as call:
            answer = self.session.forward(ask)
            call.query, call.key = answer.query, answer.key
        where = tuple(to_device(wanted.device, *wanted_host.nonzero().unbind(1)))
        flat = self._score(answer, where, nodes.complete)
        blank = Scores(asked_tokens, torch.zeros(asked.shape, device=asked.device))
        return _scatter(flat, blank, where)

    def _score(self, answer: Answer, where: tuple[Tensor, ...], complete: Tensor) -> Scores:
        logits, temperature, noise = answer.logits, self.config.temperature, None
        sequence, node, offset = where
        fresh = complete[sequence, node]
        if temperature > 0:
            column = self.canvas.start[sequence] + self.canvas.width * fresh + offset
            noise = position_gumbel(
                self.seeds[sequence], column - self.canvas.pad[sequence], logits.shape[-1]
            )
        logits = ban(logits, self.denoiser.mask_id, self.denoiser.vocab_size)
        if hasattr(self.policy, "observe"):
            logits = self.policy.observe(logits, sequence, offset, fresh)
        return score(logits, noise, temperature, self.detail)


def _pick(values: Tensor, node: Tensor) -> Tensor:
    """`values[s, node[s]]` for every sequence: `[S, N, ...]` -> `[S, ...]`."""
    index = node.reshape(-1, *[1] * (values.dim() - 1)).expand(-1, 1, *values.shape[2:])
    return values.gather(1, index)[:, 0]


def _scatter(flat: Scores, blank: Scores, where: tuple[Tensor, ...]) -> Scores:
    """Put scores `[n]` at their (sequence, node, column) in `[S, N, W]`; the rest keeps `blank`."""

    def spread(name: str) -> Tensor | None:
        values, base = getattr(flat, name), getattr(blank, name)
        if values is None:
            return None
        base = (
            torch.zeros(blank.token.shape, device=values.device) if base is None else base.clone()
        )
        return base.index_put_(where, values)

    return Scores(*(spread(f.name) for f in fields(Scores)))
