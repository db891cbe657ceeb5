"""What a plug may declare beyond its protocol: needs that the window's scores alone do not meet.

All of it is optional and costs nothing when absent. A plug stays a frozen dataclass that only
describes itself; what changes from batch to batch lives in the bound object that `begin` returns.

* `begin(loop) -> bound plug`: called once per batch. The bound plug has the plug's own methods and
  may use `loop.denoiser`, `loop.canvas` (all blocks, the mask id), `loop.seeds`, `loop.config`,
  `loop.recorder` (`call(kind, rows, model=...)` enters a second model's call into the ledger),
  `loop.asked` (host, bool `[S]`: who took part in the last call); it may replace `loop.session` by
  its own way to make the call.
* `attach(model) -> plug`: called by `generate` with the target `psd_lib.models.Model`, to load a
  second model and compare tokenizers (`psd_lib.models.companions.companion`). A plug that holds a model
  describes itself by name in `describe() -> dict`.
* a bound policy's `observe(logits, sequence, offset, fresh) -> logits`: sees every call's banned
  float32 logits `[n, V]` before they are scored; for policies that keep a history. `fresh` bool
  `[n]`: the window is a new block.
* a policy's `revoke(commit, masked) -> bool [S, W]`: decided positions of the window to mask again
  after this commit.
* an acceptor's `choose(drafts, predicted, masked, targets, live) -> (path [S, N], length [S])`:
  replaces `reach` and the walk; the path may start at any valid node, for builders with
  `alternatives = True`, whose nodes need not contain node 0.
* a policy's `no_drafts = "why"`: its next step depends on more than the state, so drafts are
  refused with this reason; `no_stop` likewise refuses stop rules.
* a builder's `eager = True`: its drafts enter the next blocks, on windows of 1 + `reach(width)`
  blocks of `width`, of which the policy is shown one (`psd_lib.decoding.eager`); its `begin` gives
  the builder for such windows.
* `fidelity = "reconstructed"` and a one-sentence `note`: the rule is not published and this is our
  reading of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from psd_lib.errors import UserError

EXACT_RULE, RECONSTRUCTED = "exact rule", "reconstructed"


def begin(plug: Any, loop: Any) -> Any:
    """The plug bound to one batch, or the plug itself when it needs nothing more than its protocol
    gives.
    """
    return plug.begin(loop) if hasattr(plug, "begin") else plug


def fidelity(plugs: Iterable[Any]) -> str:
    """`"reconstructed"` when any plug's rule is our reading of something unpublished, else `"exact
    rule"`.
    """
    return (
        RECONSTRUCTED
        if any(getattr(plug, "fidelity", EXACT_RULE) == RECONSTRUCTED for plug in plugs)
        else EXACT_RULE
    )


def refuse_cache(policy: str, cache: str, reason: str) -> UserError:
    """The one sentence for a policy that a cache plan does not fit."""
    return UserError(
        f"policy {policy!r} cannot be combined with cache {cache!r}: {reason}; use cache 'none'."
    )
