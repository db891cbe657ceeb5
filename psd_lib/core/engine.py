"""The one decoding loop: policy step, drafts, one batched call, walk, reuse of the accepted scores.

Every decoder of the package runs here; methods differ only in the strategies of their
`DecodeConfig`. The engine knows nothing of text. It keeps S sequences on the device, each in its
own block at its own pace, and reads the host exactly once an iteration: to learn which guessed
states still need a forward. Finished sequences stop producing rows.

    state x, scores p of x (one call at the start)
    repeat:  node 0 = x + policy(p)                      certain
             nodes  = node 0 + guesses above it          no call
             scores = model(nodes)                       ONE call, one row per node
             walk from node 0 while the acceptor agrees  recorded states
             x, p   = last state of the walk, its scores no further call
"""

from __future__ import annotations

import torch
from torch import Tensor

from psd_lib.core.batch import Batch
from psd_lib.core.cache import ForwardRequest, to_device
from psd_lib.core.config import DecodeConfig
from psd_lib.core.denoiser import Denoiser
from psd_lib.core.scores import Scores, ban, position_gumbel, score, seeds_of
from psd_lib.core.states import Drafts, Path, Verified, Where
from psd_lib.core.stop import StoppedPolicy
from psd_lib.core.strategy import Observer, Policy, Step
from psd_lib.core.trace import Nodes, Recorder, Recording
from psd_lib.errors import UserError


@torch.inference_mode()
def decode(
    denoiser: Denoiser,
    prompts: list[list[int]],
    config: DecodeConfig,
    block_length: int,
    index: list[int] | None = None,
    record_scores: bool = False,
    observer: Observer | None = None,
) -> Recording:
    """Decode prompts (token ids, of any lengths) together and return what happened.

    `block_length` is the resolved value for this model. `index` numbers the prompts for the noise
    at temperature > 0, so that a prompt's sample does not depend on the batch that it is in.
    `observer` looks at every step. Prompts must be checked by the caller.

    Raises:
        UserError: a strategy that does not fit the model, a policy that breaks its promise to
            commit something, and a model that returns NaN.
    """
    canvas = config.drafter.open_canvas(denoiser, prompts, config.gen_length, block_length)
    seeds = seeds_of(list(range(len(prompts))) if index is None else index, config.seed)
    batch = Batch(
        denoiser,
        canvas,
        torch.tensor(seeds, device=denoiser.device),
        config.temperature,
        Recorder(canvas, record_scores),
        active=torch.ones(len(prompts), dtype=torch.bool),
    )
    engine = Engine(batch, config, observer)
    scores = engine.first_scores()
    for _ in range(config.gen_length):  # every iteration commits a position of every sequence
        following = engine.step(scores)
        if following is None:
            return batch.recorder.finish()
        scores = following
    raise UserError(
        f"policy {config.policy.name!r} selected nothing where positions were masked; it must "
        "select at least one."
    )


class Engine:
    """One batch being decoded. `step` is the whole algorithm; the rest is about its one call."""

    def __init__(self, batch: Batch, config: DecodeConfig, observer: Observer | None = None):
        self.batch, self.canvas, self.observer = batch, batch.canvas, observer
        everyone = [*config.strategies(), *([observer] if observer else [])]
        needs = [strategy.needs for strategy in everyone]
        batch.detail = batch.recorder.record_scores or any(need.detail for need in needs)
        self.top_tokens = max(need.top_tokens for need in needs)
        self.keep_logits = any(need.logits for need in needs)
        self.session = config.cache.open(batch.denoiser, batch.canvas)
        self.policy: Policy = config.policy.start(batch)
        self.session = self.policy.wrap(self.session, batch)
        self.drafter = config.drafter.start(batch)
        self.session = self.drafter.wrap(self.session, batch)
        self.acceptor = config.acceptor.start(batch)
        self.session = self.acceptor.wrap(self.session, batch)
        self.rivals = self.drafter.rivals and self.acceptor.picks_rivals
        if config.stop is not None:
            self.policy = StoppedPolicy(self.policy, config.stop, batch.canvas)
        self.policy = self.drafter.wrap_policy(self.policy, batch.canvas)
        self.nan = torch.zeros_like(batch.canvas.start)  # how many scores of each sequence are NaN
        self.logits: Tensor | None = None
        self.where: Where | None = None

    def first_scores(self) -> Scores:
        """Score the undecided canvas, `[S, W]`: the only forward that is not a verification."""
        tokens, masked = self.canvas.window()
        none = torch.zeros_like(masked[:, :1])
        nodes = Nodes(tokens[:, None], masked[:, None], none, none, ~none)
        scores = self._forward(nodes, "first")
        if scores is None:
            raise UserError("nothing is masked: gen_length must be at least 1.")
        return scores.map(lambda value: value[:, 0])

    def step(self, scores: Scores) -> Scores | None:
        """Take one policy step and as many accepted drafts as there are.

        `scores` `[S, W]` are those of the present state. Returns those of the state reached, None
        when every sequence is finished.
        """
        step = self._policy_step(scores)
        drafts = self.drafter.draft(step)
        if self.observer is not None:
            self.observer.on_step(self.batch, step)
        nodes = self._nodes(drafts)
        fresh = self._forward(nodes, "verify")
        path = self._accept(drafts, nodes, fresh)
        fresh = fresh if path.scores is None else path.scores
        self.batch.recorder.record(scores, step.open, nodes, fresh, path.nodes, path.length)
        self.batch.iteration += 1
        last = path.nodes.gather(1, path.length[:, None] - 1)
        self.session.commit(last[:, 0])
        self.canvas.write(*(_pick(v, last) for v in (nodes.tokens, nodes.complete, nodes.final)))
        return None if fresh is None else self.canvas.align(fresh.map(lambda v: _pick(v, last)))

    def _policy_step(self, scores: Scores) -> Step:
        """Commit what the policy selects, and take back what it revokes."""
        policy, canvas = self.policy, self.canvas
        tokens, masked = canvas.window()
        commit = policy.select(scores, masked) & masked
        node0 = torch.where(commit, scores.token, tokens)
        revoked = policy.revoke(commit, masked)
        if revoked is not None:
            revoked = revoked & ~masked & ~canvas.done[:, None]
            node0 = torch.where(revoked, canvas.mask_id, node0)
            self.batch.recorder.forget(revoked)
        return Step(tokens, masked, scores, node0, masked & ~commit, commit.sum(-1), policy)

    def _accept(self, drafts: Drafts, nodes: Nodes, fresh: Scores | None) -> Path:
        """Return the states reached; node 0 alone when there is nothing above it to verify."""
        if fresh is None or nodes.valid.shape[1] == 1:
            alone = torch.zeros_like(nodes.valid, dtype=torch.long)
            return Path(alone, torch.ones_like(alone[:, 0]))
        step = self.policy.select(fresh, nodes.masked) & nodes.masked
        targets = torch.where(step, fresh.token, nodes.tokens)
        live = nodes.valid & ~nodes.final & ~nodes.complete
        verified = Verified(fresh, nodes.masked, targets, live, self.logits, self.where)
        return self.acceptor.accept(drafts, verified)

    def _nodes(self, drafts: Drafts) -> Nodes:
        """Return the guessed states with which of them are complete, final, or exist at all."""
        canvas, tokens = self.canvas, drafts.tokens
        masked = tokens == canvas.mask_id
        complete = ~masked.any(-1)
        final = canvas.ends(tokens, masked) | (complete & canvas.last_block()[:, None])
        exists = drafts.valid & ~canvas.done[:, None]
        if not self.rivals:
            exists[:, 1:] &= ~final[:, :1]  # a sequence that ends with its certain step needs none
        return Nodes(tokens, masked, complete, final, exists)

    def _forward(self, nodes: Nodes, kind: str) -> Scores | None:
        """Return scores `[S, N, W]` of all nodes from one call, None when no node needs one.

        A complete node is asked about the next block, so that crossing a block boundary costs no
        call; a final node is asked nothing. Where a position is not masked, `token` is the token
        that stands there.
        """
        canvas, batch = self.canvas, self.batch
        ahead_tokens, ahead_masked = canvas.window(ahead=1)
        asked_tokens = torch.where(nodes.complete[..., None], ahead_tokens[:, None], nodes.tokens)
        asked = torch.where(nodes.complete[..., None], ahead_masked[:, None], nodes.masked)
        wanted = asked & (nodes.valid & ~nodes.final)[..., None]
        host, complete, start = self._read(wanted, nodes.complete)
        batch.active = host.flatten(1).any(-1)
        if not batch.active.any():
            return None
        request = ForwardRequest(nodes.tokens, host, complete, start)
        with batch.recorder.call(kind, host.any(-1)) as call:
            result = self.session.forward(request)
            call.query, call.key = result.query, result.key
        sequence, node, offset = to_device(batch.device, *host.nonzero().unbind(1))
        where = Where(sequence, node, offset, nodes.complete[sequence, node])
        flat = self._score(result.logits, where)
        self.nan = self.nan.index_add(0, where.sequence, flat.confidence.isnan().long())
        blank = Scores(asked_tokens, torch.zeros_like(asked, dtype=torch.float32))
        return _scatter(flat, blank, (sequence, node, offset))

    def _read(self, wanted: Tensor, complete: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Read the host, once an iteration: `wanted`, `complete`, and each window's start."""
        columns = [wanted.flatten(1), complete, self.nan[:, None], self.canvas.start[:, None]]
        host = torch.cat(columns, 1).cpu()
        asked, done, nan, start = host.split([part.shape[1] for part in columns], 1)
        if nan.any():
            row = int(nan[:, 0].nonzero()[0])
            begin = int(start[row, 0] - self.canvas.prompt_end)
            raise UserError(
                f"the model returned NaN or infinite logits for prompt {row} of the batch, in or "
                f"before the block at generated position {max(begin, 0)}; load it in a dtype with "
                "a larger range, such as float32 or bfloat16, or check its weights."
            )
        return asked.reshape(wanted.shape).bool(), done.bool(), start[:, 0]

    def _score(self, logits: Tensor, where: Where) -> Scores:
        """Score the logits `[n, V]` of a call."""
        batch, canvas, noise = self.batch, self.canvas, None
        if batch.temperature > 0:
            column = canvas.start[where.sequence] + canvas.width * where.next_block + where.offset
            position = column - canvas.pad[where.sequence]
            noise = position_gumbel(batch.seeds[where.sequence], position, logits.shape[-1])
        logits = ban(logits, batch.denoiser.mask_id, batch.denoiser.vocab_size)
        logits = self.policy.process_logits(logits, where)
        if self.keep_logits:
            self.logits, self.where = logits, where
        return score(logits, noise, batch.temperature, batch.detail, self.top_tokens)


def _pick(values: Tensor, node: Tensor) -> Tensor:
    """Return `values[s, node[s]]` for every sequence: `[S, N, ...]` -> `[S, ...]`."""
    index = node.reshape(-1, *[1] * (values.dim() - 1)).expand(-1, 1, *values.shape[2:])
    return values.gather(1, index)[:, 0]


def _scatter(flat: Scores, blank: Scores, where: tuple[Tensor, ...]) -> Scores:
    """Put scores `[n]` at their (sequence, node, column) in `[S, N, W]`; the rest keeps `blank`."""
    found = {}
    for name, values in vars(flat).items():
        if values is not None:
            base = vars(blank)[name]
            if base is None:
                base = values.new_zeros(*blank.token.shape, *values.shape[1:])
            found[name] = base.index_put(where, values)
    return Scores(**found)
