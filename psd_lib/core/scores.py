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

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Scores:
    """Scores of positions, each tensor `[..., W]`.

    `token` int64 is the proposed id and `confidence` float32 its probability. Only if asked for:
    `margin` float32 p(1st) - p(2nd), `entropy` float32 in nats, `gap` float32 logit(1st) -
    logit(2nd); `top_tokens` int64 and `top_confidence` float32 `[..., W, R]`, the R best tokens,
    the proposed one first. Values at positions that are not masked are meaningless: always combine
    with a mask.
    """

    token: Tensor
    confidence: Tensor
    margin: Tensor | None = None
    entropy: Tensor | None = None
    gap: Tensor | None = None
    top_tokens: Tensor | None = None
    top_confidence: Tensor | None = None

    def best(self, count: int) -> tuple[Tensor, Tensor]:
        """Return the `count` best tokens and their probabilities, `[..., W, count]` each.

        Rank 0 is the proposed token. More than one must have been asked for (`Needs.top_tokens`).
        """
        if self.top_tokens is None or self.top_confidence is None:
            return self.token[..., None], self.confidence[..., None]
        return self.top_tokens[..., :count], self.top_confidence[..., :count]

    def map(self, function: Callable[[Tensor], Tensor]) -> Scores:
        """Apply `function` to each tensor that is there (indexing, gathering, reshaping)."""
        values = {name: value for name, value in vars(self).items() if value is not None}
        return Scores(**{name: function(value) for name, value in values.items()})


def ban(logits: Tensor, mask_id: int, vocab_size: int) -> Tensor:
    """Return float32 logits `[..., V]` in which what may never be chosen is -inf.

    These are the mask token and the ids from `vocab_size` on, which belong to no token.
    """
    ids = torch.arange(logits.shape[-1], device=logits.device)
    return logits.float().masked_fill((ids >= vocab_size) | (ids == mask_id), float("-inf"))


def argmax_lowest(values: Tensor, top: Tensor | None = None) -> Tensor:
    """Return the index of the last dimension's maximum, the lowest among equals on every device.

    `torch.argmax` does not define which of several maxima it returns. `top` is the known maximum
    `[..., 1]`, if any.
    """
    top = values.amax(-1, keepdim=True) if top is None else top
    index = torch.arange(values.shape[-1], device=values.device)
    # without a maximum, as among NaNs, the last index: an index in any case
    return torch.where(values == top, index, values.shape[-1] - 1).amin(-1)


def score(
    logits: Tensor,
    noise: Tensor | None = None,
    temperature: float = 0.0,
    detail: bool = False,
    top_tokens: int = 1,
) -> Scores:
    """Return scores of banned float32 `logits` `[..., V]` (see `ban`).

    `detail` adds margin, entropy and gap, `top_tokens` > 1 that many best tokens. With
    `temperature` > 0 the token is the argmax of `logits / temperature + noise`, where `noise` is
    Gumbel noise of the same shape (see `position_gumbel`); confidence stays the untempered softmax
    probability of that token. Where logits are not finite numbers, confidence is NaN.

    Example, two positions over four ids, id 3 banned::

        logits       [[2., 0., 0., -inf], [1., 1., 0., -inf]]
        token        [0, 0]                 # the tie at the second position goes to the lower id
        confidence   [0.787, 0.422]
        margin       [0.681, 0.000]
    """
    top = logits.amax(-1, keepdim=True)
    weight = (logits - top).exp()
    total = weight.sum(-1)
    if noise is None or temperature == 0:
        token = argmax_lowest(logits, top)
    else:
        token = argmax_lowest(_tempered(logits, top, temperature) + noise)
    confidence = weight.gather(-1, token[..., None])[..., 0] / total
    found = Scores(token, confidence)
    if detail:
        first, second = logits.topk(2, dim=-1).values.unbind(-1)
        gap = first - second
        # a banned id has weight 0 and must contribute 0, not 0 * inf
        surprise = (weight * (logits - top).masked_fill(weight == 0, 0.0)).sum(-1)
        margin, entropy = (1 - (-gap).exp()) / total, total.log() - surprise / total
        found = replace(found, margin=margin, entropy=entropy, gap=gap)
    if top_tokens > 1:
        ids, chances = proposed_first(token, confidence, *best_tokens(logits, top_tokens))
        found = replace(found, top_tokens=ids, top_confidence=chances)
    return found


def _tempered(logits: Tensor, top: Tensor, temperature: float) -> Tensor:
    """Return logits / temperature; where that overflows, relative to the best, so that it is 0."""
    return logits / temperature if temperature > 1e-6 else (logits - top) / temperature


def best_tokens(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the `count` most likely ids and their probabilities, `[n, count]` each.

    `logits` are banned float32 `[n, V]`. Equal logits go to the lower id, on every device.

    Example: logits [0., 2., 2., 1.], count 3: ids [1, 2, 3].
    """
    left, chance, ids = logits, logits.softmax(-1), []
    for _ in range(count):
        ids.append(argmax_lowest(left))
        left = left.scatter(-1, ids[-1][..., None], float("-inf"))
    best = torch.stack(ids, -1)
    return best, chance.gather(-1, best)


def proposed_first(
    token: Tensor, confidence: Tensor, tokens: Tensor, chances: Tensor
) -> tuple[Tensor, Tensor]:
    """Move the proposed `token` `[n]` to the front of `tokens` `[n, R]`.

    The others keep their order. At temperature 0 nothing moves: the proposed token is the most
    likely one.

    Example, proposed token 7 of a position whose most likely tokens are 4, 7, 9::

        4 7 9  ->  7 4 9
    """
    everything = torch.cat([token[..., None], tokens], -1)
    chance = torch.cat([confidence[..., None], chances], -1)
    repeated = torch.zeros_like(everything, dtype=torch.bool)
    repeated[..., 1:] = tokens == token[..., None]
    kept = torch.sort(repeated.int(), dim=-1, stable=True).indices[..., : tokens.shape[-1]]
    return everything.gather(-1, kept), chance.gather(-1, kept)


def order(values: Tensor, masked: Tensor) -> Tensor:
    """Return the rank of each masked position by descending value, int64 `[..., W]`.

    Rank 0 is the best; ties go to the lowest position. Positions outside `masked` rank behind
    every masked one.

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
    """Return Gumbel noise `[..., W, V]` that depends on (seed, position, token id) alone, float32.

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
    """Apply one round of 32-bit integer mixing, inside int64, so that all devices agree."""
    low = 0xFFFFFFFF
    value = value & low
    value = ((value ^ (value >> 16)) * 0x45D9F3B) & low
    value = ((value ^ (value >> 16)) * 0x45D9F3B) & low
    return value ^ (value >> 16)


def seeds_of(index: list[int], seed: int) -> list[int]:
    """Return one noise seed per prompt number in `index`, for a run's `seed` of any size.

    The noise reads 32 bits: 20 for the prompt and 12 for the seed. What a seed has beyond 12 bits
    is hashed into all of them, so that seeds that agree in their low 12 bits still differ.
    """
    high = seed >> 12
    spread = zlib.crc32(high.to_bytes((high.bit_length() + 7) // 8, "big")) if high else 0
    return [(number + ((seed & 0xFFF) << 20)) ^ spread for number in index]
