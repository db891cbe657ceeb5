"""Second best tokens: what a position would hold if not its proposed token, for drafts that bet on
more than the best.

Scores keep one token per position. A builder that needs more puts `Ranked` around the batch's
session, which looks at the same logits, so no call is added.
"""

from __future__ import annotations

import torch
from torch import Tensor

from psd_lib.decoding.caches import Answer, Ask, Session, to_device
from psd_lib.decoding.canvas import Canvas
from psd_lib.decoding.denoiser import Denoiser
from psd_lib.decoding.scores import Scores, argmax_lowest, ban


class Ranked:
    """A session that also keeps the `count` most likely tokens of every asked position of the
    accepted state.
    """

    def __init__(self, session: Session, denoiser: Denoiser, canvas: Canvas, count: int):
        self.session, self.denoiser, self.canvas, self.count = session, denoiser, canvas, count
        self.tokens: Tensor | None = None
        self.weights: Tensor | None = None

    def forward(self, ask: Ask) -> Answer:
        """The session's own answer; its best tokens are noted."""
        answer = self.session.forward(ask)
        logits = ban(answer.logits, self.denoiser.mask_id, self.denoiser.vocab_size)
        tokens, weights = best_tokens(logits, self.count)
        where = tuple(to_device(logits.device, *ask.wanted.nonzero().unbind(1)))
        shape = (*ask.wanted.shape, self.count)
        self.tokens = torch.zeros(shape, dtype=torch.long, device=logits.device).index_put_(
            where, tokens
        )
        self.weights = torch.zeros(shape, device=logits.device).index_put_(where, weights)
        return answer

    def settle(self, node: Tensor) -> None:
        """Keep the accepted state's tokens only."""
        self.session.settle(node)
        index = node.reshape(-1, 1, 1, 1).expand(-1, 1, *self.tokens.shape[2:])
        self.tokens, self.weights = self.tokens.gather(1, index), self.weights.gather(1, index)

    def ranked(self, stale: Scores) -> tuple[Tensor, Tensor]:
        """Tokens and probabilities `[S, W, count]` by vocabulary rank, where rank 0 is always the
        proposed token.

        At temperature 0 that is the most likely token and the ranks are those of the model; above,
        the proposed token moves to the front and the others keep their order.

        Example, proposed token 7 of a position whose most likely tokens are 4, 7, 9::

            4 7 9  ->  7 4 9
        """
        tokens, weights = self.tokens[:, 0], self.weights[:, 0]
        first = torch.cat([stale.token[..., None], tokens], -1)
        chance = torch.cat([stale.confidence[..., None], weights], -1)
        repeated = torch.cat(
            [torch.zeros_like(tokens[..., :1], dtype=torch.bool), tokens == stale.token[..., None]],
            -1,
        )
        kept = torch.sort(repeated.int(), dim=-1, stable=True).indices[..., : self.count]
        return first.gather(-1, kept), chance.gather(-1, kept)


def best_tokens(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` most likely ids of banned float32 logits `[n, V]` and their probabilities, `[n,
    count]` each.

    Equal logits go to the lower id, on every device. Example: logits [0., 2., 2., 1.], count 3: ids
    [1, 2, 3].
    """
    left, chance, ids = logits, logits.softmax(-1), []
    for _ in range(count):
        ids.append(argmax_lowest(left))
        left = left.scatter(-1, ids[-1][..., None], float("-inf"))
    best = torch.stack(ids, -1)
    return best, chance.gather(-1, best)
