"""What happened while decoding: who committed which position when, and what every call cost.

`Recorder` collects device tensors without synchronising; `Recording` is the result on the host.
Text, metrics, figures and the viewer derive from it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from psd_lib.core.canvas import Canvas
from psd_lib.core.ledger import Forward, Ledger
from psd_lib.core.scores import Scores


@dataclass
class Recording:
    """S decoded sequences on the host.

    Maps are `[S, G]` over the generated positions, -1 where nothing was committed: `tokens` int64;
    `step` index of the policy step that committed a position; `iteration` index of the loop
    iteration; `depth` 0 for the policy's own step, j for the j-th accepted draft of the iteration;
    `confidence` float32 at commit. `per_iteration` holds `[T, S]` arrays: active, block, accepted,
    drafted, rows, committed. `nfe`, `rows`, `query_tokens`, `model_ms`, `loop_ms` `[S]` are each
    sequence's own share; `second_nfe` and `second_query_tokens` `[S]` are the calls of a second
    model, which the others leave out (but not the milliseconds).
    """

    tokens: np.ndarray
    step: np.ndarray
    iteration: np.ndarray
    depth: np.ndarray
    confidence: np.ndarray
    per_iteration: dict[str, np.ndarray]
    scores: list[dict[str, np.ndarray]]
    nfe: np.ndarray
    rows: np.ndarray
    query_tokens: np.ndarray
    model_ms: np.ndarray
    loop_ms: np.ndarray
    second_nfe: np.ndarray
    second_query_tokens: np.ndarray
    ledger: Ledger


@dataclass
class Call:
    """One call while it is made: whose rows it holds `[S]`, what it cost, and when it ran."""

    kind: str
    rows: Tensor
    iteration: int
    model: str
    query: Tensor
    key: Tensor
    ms: float = 0.0
    events: tuple[torch.cuda.Event, torch.cuda.Event] | None = None

    def forward(self) -> Forward:
        """Return what the ledger keeps of it, summed over sequences."""
        return Forward(
            self.kind,
            rows=int(self.rows.sum()),
            sequences=int((self.rows > 0).sum()),
            query_tokens=int(self.query.sum()),
            key_tokens=int(self.key.sum()),
            ms=self.ms,
            model=self.model,
        )


@dataclass(frozen=True)
class Nodes:
    """S x N states in the current window, with what the engine needs to know of each.

    `tokens` int64 and `masked` bool `[S, N, W]`; bool `[S, N]`: `complete`, nothing is masked in
    the window; `final`, decoding ends there (EOS with nothing masked before it, or the last block
    complete); `valid`, the node exists.
    """

    tokens: Tensor
    masked: Tensor
    complete: Tensor
    final: Tensor
    valid: Tensor


class Recorder:
    """Collect the maps, the iterations and the calls of one batch."""

    def __init__(self, canvas: Canvas, record_scores: bool):
        self.canvas, self.record_scores = canvas, record_scores
        empty = torch.full_like(canvas.ids, -1)
        confidence = empty.to(torch.float32)
        self.maps = {"step": empty, "iteration": empty, "depth": empty, "confidence": confidence}
        self.steps = torch.zeros_like(canvas.start)
        self.first_block = canvas.start.clone()
        self.iterations: list[dict[str, Tensor]] = []
        self.scores: list[dict[str, Tensor]] = []
        self.calls: list[Call] = []
        self.started = time.perf_counter()

    @contextmanager
    def call(self, kind: str, row_mask: Tensor, model: str = "") -> Iterator[Call]:
        """Time one call; `model` names a second model.

        `row_mask` bool `[S, N]` on the host marks the rows that it holds. The caller sets `query`
        and `key` of what it gets, int64 `[S]` on the host. On a GPU the host's one read an
        iteration waits for the previous call, so events bracket exactly this one.
        """
        rows = row_mask.sum(-1)
        record = Call(kind, rows, len(self.iterations), model, rows * 0, rows * 0)
        if self.canvas.ids.is_cuda:
            first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            record.events = (first, last)
            first.record()
        clock = time.perf_counter()
        yield record
        record.ms = (time.perf_counter() - clock) * 1e3
        if record.events:
            record.events[1].record()
        self.calls.append(record)

    def record(
        self,
        scores: Scores,
        masked: Tensor,
        nodes: Nodes,
        predicted: Scores | None,
        path: Tensor,
        length: Tensor,
    ) -> None:
        """Record one iteration.

        The states `path` `[S, N]`, `length` `[S]` of them, were reached in this order; `predicted`
        `[S, N, W]` are their fresh scores and `scores` `[S, W]` those from before.
        """
        active = ~self.canvas.done
        entry = torch.arange(path.shape[1], device=path.device)
        on_path = entry < length[:, None]
        masked_at = (
            nodes.masked.gather(1, path[..., None].expand_as(nodes.masked)) & on_path[..., None]
        )
        # states are nested: a position is decided at the first one where it is not masked
        depth = masked_at.sum(1)
        new = masked & (depth < length[:, None]) & active[:, None]
        confidence = scores.confidence
        if predicted is not None:
            parent = path.gather(1, (depth - 1).clamp(min=0))
            fresh = predicted.confidence.gather(1, parent[:, None])[:, 0]
            confidence = torch.where(depth > 0, fresh, confidence)
        columns = self.canvas.columns()
        values = {
            "step": self.steps[:, None] + depth,
            "iteration": torch.full_like(depth, len(self.iterations)),
            "depth": depth,
            "confidence": confidence,
        }
        for name, value in values.items():
            old = self.maps[name].gather(1, columns)
            self.maps[name] = self.maps[name].scatter(1, columns, torch.where(new, value, old))
        self.steps = self.steps + length * active
        if self.record_scores:
            found = {"columns": columns, "masked": masked & active[:, None], **_filled(scores)}
            width = self.canvas.width  # of a wider window only the first block is the policy's
            self.scores.append({name: value[:, :width] for name, value in found.items()})
        self.iterations.append(
            {
                "active": active,
                "block": (self.canvas.start - self.first_block) // self.canvas.width,
                "accepted": (length - 1) * active,
                "drafted": (nodes.valid.sum(-1) - 1).clamp(min=0),
                "committed": new.sum(-1),
            }
        )

    def forget(self, revoked: Tensor) -> None:
        """Delete the commits of window positions that are masked again, `revoked` bool `[S, W]`."""
        columns = self.canvas.columns()
        for name, value in self.maps.items():
            self.maps[name] = value.scatter(
                1, columns, torch.where(revoked, -1, value.gather(1, columns))
            )

    def finish(self) -> Recording:
        """Bring everything to the host."""
        canvas, generated = self.canvas, slice(self.canvas.prompt_end, self.canvas.end)
        tokens = canvas.ids[:, generated].clone()
        tokens[tokens == canvas.mask_id] = -1
        maps: dict[str, Any] = {
            name: value[:, generated].cpu().numpy() for name, value in self.maps.items()
        }
        per_iteration = {
            name: torch.stack([it[name] for it in self.iterations]).cpu().numpy()
            for name in self.iterations[0]
        }
        per_iteration["rows"] = np.zeros_like(per_iteration["accepted"])
        for call in self.calls:
            if call.kind == "verify":  # the first call belongs to no iteration
                per_iteration["rows"][call.iteration] += call.rows.numpy()
            if call.events:
                call.events[1].synchronize()
                call.ms = call.events[0].elapsed_time(call.events[1])
        return Recording(
            tokens=tokens.cpu().numpy(),
            per_iteration=per_iteration,
            scores=self._host_scores(),
            **maps,
            **self._costs(per_iteration["active"]),
        )

    def _costs(self, active: np.ndarray) -> dict[str, Any]:
        """Return the ledger and each sequence's own share of it; `active` bool `[T, S]`."""
        total_ms = (time.perf_counter() - self.started) * 1e3
        ledger = Ledger([call.forward() for call in self.calls], total_ms)
        rows = np.stack([call.rows.numpy() for call in self.calls])
        query = np.stack([call.query.numpy() for call in self.calls])
        ms = np.array([call.ms for call in self.calls])
        target = np.array([not call.model for call in self.calls])
        share = active.sum(0) / active.sum()
        return {
            "nfe": (rows[target] > 0).sum(0),
            "rows": rows[target].sum(0),
            "query_tokens": query[target].sum(0),
            "second_nfe": (rows[~target] > 0).sum(0),
            "second_query_tokens": query[~target].sum(0),
            "model_ms": (rows / rows.sum(1, keepdims=True) * ms[:, None]).sum(0),
            "loop_ms": (total_ms - ledger.model_ms) * share,
            "ledger": ledger,
        }

    def _host_scores(self) -> list[dict[str, np.ndarray]]:
        host = [
            {name: value.cpu().numpy() for name, value in entry.items()} for entry in self.scores
        ]
        for entry in host:
            entry["positions"] = entry.pop("columns") - self.canvas.prompt_end
        return host


def _filled(scores: Scores) -> dict[str, Tensor]:
    """Return the scores that are there and have one value per position."""
    values = {"token": scores.token, "confidence": scores.confidence}
    more = {"margin": scores.margin, "entropy": scores.entropy, "gap": scores.gap}
    return values | {name: value for name, value in more.items() if value is not None}
