"""What one forward says about each position: proposed token, confidence, margin, entropy.

Every rule that two decoders could silently disagree on lives in this file and nowhere else:

* dtype: all scores are float32, whatever the model's dtype (bf16 cannot represent 0.9 and ties near
  1.0);
* banned ids: the mask token and vocabulary rows that the tokenizer does not use are set to -inf
  *before* the softmax;
* temperature: confidence is always read from the unfiltered, untempered distribution; temperature
  only chooses the token;
* ties: equal logits go to the lowest token id, equal scores to the lowest position (`order`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True)
class Scores:
    """Scores of positions, each tensor `[..., W]`.

    `token` int64 proposed id; `confidence` float32 probability of `token`; `margin` float32 p(1st)
    - p(2nd), `entropy` float32 in nats and `gap` float32 logit(1st) - logit(2nd) are None unless
    asked for. Values at positions that are not masked are meaningless: always combine with a mask.
    """

    token: Tensor
    confidence: Tensor
    margin: Tensor | None = None
    entropy: Tensor | None = None
    gap: Tensor | None = None

    def map(self, function: Callable[[Tensor], Tensor]) -> Scores:
        """Apply `function` to each tensor that is there (indexing, gathering, reshaping)."""
        values = (getattr(self, f.name) for f in fields(self))
        return Scores(*(None if value is None else function(value) for value in values))


def ban(logits: Tensor, mask_id: int, vocab_size: int) -> Tensor:
    """Float32 logits `[..., V]` in which the mask token and the rows from `vocab_size` on can never
    be chosen.
    """
    ids = torch.arange(logits.shape[-1], device=logits.device)
    return logits.float().masked_fill((ids >= vocab_size) | (ids == mask_id), float("-inf"))


def argmax_lowest(values: Tensor, top: Tensor | None = None) -> Tensor:
    """Index of the maximum of the last dimension; the lowest index among equals, on every device.

    `torch.argmax` does not define which of several maxima it returns. `top` is the known maximum
    `[..., 1]`, if any.
    """
    top = values.amax(-1, keepdim=True) if top is None else top
    index = torch.arange(values.shape[-1], device=values.device)
    return torch.where(values == top, index, values.shape[-1]).amin(-1)


def score(
    logits: Tensor, noise: Tensor | None = None, temperature: float = 0.0, detail: bool = False
) -> Scores:
    """Scores of banned float32 `logits` `[..., V]` (see `ban`); `detail` adds margin, entropy and
    gap.

    With `temperature` > 0 the token is the argmax of `logits / temperature + noise`, where `noise`
    is Gumbel noise of the same shape (see `position_gumbel`); confidence stays the untempered
    softmax probability of that token.

    Example, two positions over four ids, id 3 banned::

        logits       [[2., 0., 0., -inf], [1., 1., 0., -inf]]
        token        [0, 0]                 # the tie at the second position goes to the lower id
        confidence   [0.787, 0.422]
        margin       [0.681, 0.000]
    """
    top = logits.amax(-1, keepdim=True)
    weight = (logits - top).exp()
    total = weight.sum(-1)
    token = (
        argmax_lowest(logits / temperature + noise)
        if temperature > 0
        else argmax_lowest(logits, top)
    )
    confidence = weight.gather(-1, token[..., None])[..., 0] / total
    if not detail:
        return Scores(token, confidence)
    first, second = logits.topk(2, dim=-1).values.unbind(-1)
    gap = first - second
    # a banned id has weight 0 and must contribute 0, not 0 * inf
    surprise = (weight * (logits - top).masked_fill(weight == 0, 0.0)).sum(-1)
    return Scores(
        token, confidence, (1 - (-gap).exp()) / total, total.log() - surprise / total, gap
    )


def order(values: Tensor, masked: Tensor) -> Tensor:
    """Rank of each masked position by descending value, `[..., W]` int64; 0 is the best, ties go to
    the lowest position.

    Positions outside `masked` get ranks behind every masked one.

    Example::

        values  [[.2, .9, .9, .5], [.1, .4, .3, .8]]
        masked  [[ 1,  1,  1,  0], [ 0,  1,  1,  1]]
        rank    [[ 2,  0,  1,  3], [ 3,  1,  2,  0]]
    """
    keyed = values.masked_fill(~masked, float("-inf"))
    positions = torch.sort(keyed, dim=-1, descending=True, stable=True).indices
    rank = torch.empty_like(positions)
    return rank.scatter_(
        -1, positions, torch.arange(values.shape[-1], device=values.device).expand_as(positions)
    )


def position_gumbel(seeds: Tensor, positions: Tensor, vocab: int) -> Tensor:
    """Gumbel noise `[..., W, V]` that depends on (seed, position, token id) alone, float32.

    Because the noise never changes while a sequence is decoded, the perturbed argmax is a
    deterministic function of the state, and replay acceptance stays exact path by path at
    temperature > 0. `seeds` and `positions` broadcast to `[..., W]`. The generator is a counter
    hash (integer mixing on 32-bit lanes), so no state is kept.
    """
    ids = torch.arange(vocab, device=positions.device)
    counter = _mix(_mix(_mix(seeds + 0x9E3779B9) ^ positions)[..., None] ^ ids)
    uniform = (counter.double() + 0.5) / 2**32
    return -(-uniform.log()).log().float()


def _mix(value: Tensor) -> Tensor:
    """One round of 32-bit integer mixing, kept inside int64 so that it is the same on every device."""
    low = 0xFFFFFFFF
    value = value & low
    value = ((value ^ (value >> 16)) * 0x45D9F3B) & low
    value = ((value ^ (value >> 16)) * 0x45D9F3B) & low
    return value ^ (value >> 16)
