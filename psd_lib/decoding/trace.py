"""What happened while decoding: who committed which position when, and what every call cost.

`Recorder` collects device tensors without synchronising; `Recording` is the result on the host.
Text, metrics, figures and the viewer derive from it.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from psd_lib.decoding.canvas import Canvas
from psd_lib.decoding.scores import Scores


@dataclass
class Forward:
    """One call of a model: `rows` guessed states of `sequences` sequences, tokens over all rows,
    milliseconds.

    `model` is empty for the target; a second model (judge, draft) is named, and its calls are
    counted apart.
    """

    kind: str
    rows: int
    sequences: int
    query_tokens: int
    key_tokens: int
    ms: float
    model: str = ""


@dataclass
class Ledger:
    """All calls of a run. A batched verification is one forward, and its rows are reported beside
    it.

    `nfe`, `rows` and `query_tokens` are the target model's; `second_nfe` and `second_query_tokens`
    are those of a second model, where there is one. Milliseconds are everybody's.
    """

    forwards: list[Forward] = field(default_factory=list)
    total_ms: float = 0.0

    @property
    def nfe(self) -> int:
        """Calls of the target model."""
        return len(self.target)

    @property
    def target(self) -> list[Forward]:
        """The target model's calls."""
        return [forward for forward in self.forwards if not forward.model]

    @property
    def second_nfe(self) -> int:
        """Calls of a second model."""
        return len(self.forwards) - len(self.target)

    @property
    def second_query_tokens(self) -> int:
        """Tokens that went through a second model as queries."""
        return sum(forward.query_tokens for forward in self.forwards if forward.model)

    @property
    def rows(self) -> int:
        """States that went through the target model."""
        return sum(forward.rows for forward in self.target)

    @property
    def query_tokens(self) -> int:
        """Tokens that went through the target model as queries."""
        return sum(forward.query_tokens for forward in self.target)

    @property
    def model_ms(self) -> float:
        """Milliseconds inside models."""
        return sum(forward.ms for forward in self.forwards)

    @property
    def loop_share(self) -> float:
        """Share of the wall time that is not the model."""
        return 1 - self.model_ms / self.total_ms if self.total_ms else 0.0

    def __add__(self, other: Ledger) -> Ledger:
        return Ledger(self.forwards + other.forwards, self.total_ms + other.total_ms)


@dataclass
class Recording:
    """S decoded sequences on the host. Maps are `[S, G]` over the generated positions, -1 where
    nothing was committed.

    `tokens` int64; `step` index of the policy step that committed a position; `iteration` index of
    the loop iteration; `depth` 0 for the policy's own step, j for the j-th accepted draft of the
    iteration; `confidence` float32 at commit. `per_iteration` holds `[T, S]` arrays: active, block,
    accepted, drafted, rows, committed. `nfe`, `rows`, `query_tokens`, `model_ms`, `loop_ms` `[S]`
    are each sequence's own share; `second_nfe` and `second_query_tokens` `[S]` are the calls of a
    second model, which the others leave out (but not the milliseconds).
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
class _Call:
    kind: str
    rows: Tensor
    iteration: int
    model: str
    query: Tensor | None = None
    key: Tensor | None = None
    ms: float = 0.0
    events: tuple[torch.cuda.Event, torch.cuda.Event] | None = None


class Recorder:
    """Collects the maps, the iterations and the calls of one batch."""

    def __init__(self, canvas: Canvas, record_scores: bool):
        self.canvas, self.record_scores = canvas, record_scores
        empty = torch.full_like(canvas.ids, -1)
        self.maps = {"step": empty, "iteration": empty, "depth": empty, "confidence": empty.float()}
        self.steps = torch.zeros_like(canvas.start)
        self.first_block = canvas.start.clone()
        self.iterations: list[dict[str, Tensor]] = []
        self.scores: list[dict[str, Tensor]] = []
        self.calls: list[_Call] = []
        self.started = time.perf_counter()

    @contextmanager
    def call(self, kind: str, row_mask: Tensor, model: str = ""):
        """Time one call; `row_mask` bool `[S, N]` on the host tells whose rows it holds, `model`
        names a second model.

        The caller sets `query` and `key` of what it yields, int64 `[S]` on the host.

        On a GPU the host's one read an iteration waits for the previous call, so events bracket
        exactly this one.
        """
        record = _Call(kind, row_mask.sum(-1), len(self.iterations), model)
        cuda = self.canvas.ids.is_cuda
        if cuda:
            record.events = (
                torch.cuda.Event(enable_timing=True),
                torch.cuda.Event(enable_timing=True),
            )
            record.events[0].record()
        clock = time.perf_counter()
        yield record
        record.ms = (time.perf_counter() - clock) * 1e3
        if cuda:
            record.events[1].record()
        self.calls.append(record)

    def record(
        self,
        scores: Scores,
        masked: Tensor,
        nodes,
        predicted: Scores | None,
        path: Tensor,
        length: Tensor,
    ):
        """One iteration: the states `path` `[S, N]` of the walk, `length` `[S]` of them, were
        reached in this order.
        """
        active = ~self.canvas.done
        entry = torch.arange(path.shape[1], device=path.device)
        on_path = entry < length[:, None]
        masked_at = (
            nodes.masked.gather(1, path[..., None].expand_as(nodes.masked)) & on_path[..., None]
        )
        depth = masked_at.sum(
            1
        )  # nested states: a position is decided at the first state where it is not masked
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
            entry = {"columns": columns, "masked": masked & active[:, None], **_filled(scores)}
            width = self.canvas.width  # of a wider window only the first block is the policy's
            self.scores.append({name: value[:, :width] for name, value in entry.items()})
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
        """Decided window positions `revoked` `[S, W]` are masked again: what is recorded of their
        commit goes.
        """
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
        maps = {name: value[:, generated].cpu().numpy() for name, value in self.maps.items()}
        stacked = {
            name: torch.stack([it[name] for it in self.iterations]).cpu().numpy()
            for name in self.iterations[0]
        }
        stacked["rows"] = np.zeros_like(stacked["accepted"])
        rows = np.stack([call.rows.numpy() for call in self.calls])
        target = np.array([not call.model for call in self.calls])
        for call in self.calls:
            if call.kind == "verify":  # the first call belongs to no iteration
                stacked["rows"][call.iteration] += call.rows.numpy()
        for call in self.calls:
            if call.events:
                call.events[1].synchronize()
                call.ms = call.events[0].elapsed_time(call.events[1])
        total_ms = (time.perf_counter() - self.started) * 1e3
        ledger = Ledger([_forward(call) for call in self.calls], total_ms)
        ms = np.array([call.ms for call in self.calls])
        query = np.stack([call.query.numpy() for call in self.calls])
        share = stacked["active"].sum(0) / stacked["active"].sum()
        return Recording(
            tokens=tokens.cpu().numpy(),
            per_iteration=stacked,
            scores=self._host_scores(),
            nfe=(rows[target] > 0).sum(0),
            rows=rows[target].sum(0),
            query_tokens=query[target].sum(0),
            second_nfe=(rows[~target] > 0).sum(0),
            second_query_tokens=query[~target].sum(0),
            model_ms=(rows / rows.sum(1, keepdims=True) * ms[:, None]).sum(0),
            loop_ms=(total_ms - ledger.model_ms) * share,
            ledger=ledger,
            **maps,
        )

    def _host_scores(self) -> list[dict[str, np.ndarray]]:
        host = [
            {name: value.cpu().numpy() for name, value in entry.items()} for entry in self.scores
        ]
        for entry in host:
            entry["positions"] = entry.pop("columns") - self.canvas.prompt_end
        return host


def _filled(scores: Scores) -> dict[str, Tensor]:
    return {name: value for name, value in vars(scores).items() if value is not None}


def _forward(call: _Call) -> Forward:
    sums = [int(part.sum()) for part in (call.query, call.key)]
    return Forward(
        call.kind, int(call.rows.sum()), int((call.rows > 0).sum()), *sums, call.ms, call.model
    )
