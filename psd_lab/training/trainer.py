"""The training loop: stages one after another, resumable at any step, in one or two processes."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from transformers import PreTrainedTokenizerFast

from psd_lab.progress import progress as show_progress
from psd_lab.training.batches import Batch, Batches
from psd_lab.training.checkpoints import Log, load_state, save_state
from psd_lab.training.network import build
from psd_lab.training.objectives import (
    Loss,
    block_diffusion_loss,
    full_attention_loss,
    next_token_loss,
)
from psd_lab.training.optimizers import Optimizers
from psd_lab.training.places import check_room
from psd_lab.training.recipe import Recipe, Stage
from psd_lab.training.states import draw_one_block, draw_state
from psd_lab.training.transplant import transplant
from psd_lib.errors import UserError
from psd_lib.models.families import FAMILIES

LOG_EVERY = 20


@dataclass
class Place:
    """Where a run stands.

    `step`, `seconds` and `batch` count within the stage or the chunk; `total` and `tokens` over the
    whole run.
    """

    stage: int = 0
    step: int = 0
    seconds: float = 0.0
    total: int = 0
    tokens: int = 0
    chunk: int = 0
    batch: int = 0


class Trainer:
    """Train `recipe` in `folder`; `ranks` processes share the rows of every batch.

    Raises:
        UserError: The state in the folder does not fit, the disk has no room for a state, or the
            loss is no longer a finite number; the last state then stays as it is.
    """

    def __init__(
        self,
        recipe: Recipe,
        tokenizer: PreTrainedTokenizerFast,
        folder: Path,
        device: str = "cpu",
        rank: int = 0,
        ranks: int = 1,
        save_seconds: float = 180.0,
        compiled: bool = False,
    ) -> None:
        self.recipe, self.folder, self.device = recipe, folder, device
        self.rank, self.ranks, self.save_seconds = rank, ranks, save_seconds
        self.mask_id = tokenizer.mask_token_id
        texts = tokenizer.batch_decode([[i] for i in range(recipe.shape.vocab)])
        self.numerals = torch.tensor([text.strip().isdigit() for text in texts])
        self.shift = FAMILIES[recipe.family].shift
        self.model = build(recipe.family, recipe.shape, recipe.seed, tokenizer.eos_token_id).to(
            device
        )
        state = load_state(folder)
        if recipe.start and not state:
            transplant(recipe.start, self.model, recipe.tasks)
        if compiled:
            self.model.model.compile(dynamic=True)
        if rank == 0:
            # Two states of weights and moments in float32 at once, and the checkpoint in bfloat16.
            size = sum(weight.numel() for weight in self.model.parameters())
            check_room(folder, size * (2 * 3 * 4 + 2))
        self.optimizers = Optimizers(self.model)
        self.place, self._clock, self._saved = Place(), time.monotonic(), time.monotonic()
        self.batches = Batches(
            tokenizer,
            list(recipe.tasks),
            recipe.seed,
            recipe.tokens,
            recipe.shape.positions,
            recipe.tail,
        )
        self._chunk: tuple[int, list[Batch]] = (-1, [])
        self._losses: list[float] = []
        if state:
            self._restore(state)
        if rank == 0:
            self.log = Log(folder, self.place.total)

    def run(self) -> None:
        """Train every stage to its end; save every `save_seconds` seconds and after each stage."""
        self._saved = self._clock = time.monotonic()
        while self.place.stage < len(self.recipe.stages):
            stage = self.recipe.stages[self.place.stage]
            percents = self._percents(stage)
            for _ in show_progress(percents, 100, stage.name) if self.rank == 0 else percents:
                pass
            place = self.place
            self.place = Place(
                place.stage + 1, total=place.total, tokens=place.tokens, chunk=place.chunk + 1
            )
            self._save()

    def _percents(self, stage: Stage) -> Iterator[int]:
        """Train to the end of the stage and yield once for each percent of it.

        The percents that were done before a resume are among them.
        """
        shown = 0
        while True:
            while shown < int(100 * self.progress(stage)):
                shown += 1
                yield shown
            if self.progress(stage) >= 1.0:
                return
            self.step(stage)
            if time.monotonic() - self._saved > self.save_seconds:
                self._save()

    def progress(self, stage: Stage) -> float:
        """Return the share of the stage that is done, by steps or by time, whichever is more."""
        return min(
            1.0, max(self.place.step / stage.steps, self.place.seconds / (60.0 * stage.minutes))
        )

    def step(self, stage: Stage) -> float:
        """Make one optimizer step and return the loss of the whole batch."""
        progress = self.progress(stage)
        batch = self._next_batch(stage)
        block, loss = self._loss(stage, progress, batch)
        self.model.zero_grad()
        loss.total.backward()
        rate = stage.rate * min(1.0, (self.place.step + 1) / stage.warmup)
        rate *= 1.0 - (1.0 - stage.last_rate) * progress
        value, seconds = self._gather(loss)
        if not math.isfinite(value):
            raise UserError(
                f"The training loss is no longer finite at step {self.place.total + 1}; the"
                f" checkpoint in {self.folder} is the last good one: lower the learning rate and"
                " resume."
            )
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizers.step(rate)
        self.place.step += 1
        self.place.total += 1
        self.place.tokens += int(batch.lengths.sum())
        self.place.seconds += seconds
        if self.rank == 0:
            self._record(stage, value, rate, block)
        return value

    def _loss(self, stage: Stage, progress: float, batch: Batch) -> tuple[int, Loss]:
        part = batch.part(self.rank, self.ranks)
        with torch.autocast(self.device, dtype=torch.bfloat16):
            if stage.objective == "next_token":
                return 1, next_token_loss(self.model, part.to(self.device))
            # One generator per step, rank and seed: a resumed run draws what an uninterrupted one
            # draws.
            shares = stage.block_shares(progress)
            rng = random.Random(f"{self.recipe.seed} {self.place.total}")
            block = rng.choices(*zip(*shares.items(), strict=True))[0]
            generator = torch.Generator().manual_seed(
                self.recipe.seed * 10**9 + self.place.total * 64 + self.rank
            )
            numerals = self.numerals[part.ids] if stage.hide_numerals else None
            if block > 1 and rng.random() < stage.full_attention:
                state = draw_one_block(part, block, stage.windows, generator, numerals).to(
                    self.device
                )
                return block, full_attention_loss(
                    self.model, part.to(self.device), state, self.mask_id, self.shift
                )
            state = draw_state(part, block, stage.windows, generator, numerals).to(self.device)
            return block, block_diffusion_loss(
                self.model, part.to(self.device), state, block, self.mask_id, self.shift
            )

    def _gather(self, loss: Loss) -> tuple[float, float]:
        """Means of gradients and loss over all ranks, and the seconds since the last call on rank
        0's clock.
        """
        seconds, self._clock = time.monotonic() - self._clock, time.monotonic()
        grads = [weight.grad for weight in self.model.parameters()]
        sums = torch.stack([loss.total.detach(), loss.weight, torch.zeros_like(loss.weight)])
        if self.ranks > 1:
            sums[2] = seconds if self.rank == 0 else 0.0
            flat = torch.cat([grad.flatten() for grad in grads] + [sums])
            dist.all_reduce(flat)
            for grad, part in zip(
                grads, flat[:-3].split([grad.numel() for grad in grads]), strict=True
            ):
                grad.copy_(part.view_as(grad))
            sums, seconds = flat[-3:], float(flat[-1])
        total, weight = sums[:2].tolist()
        for grad in grads:
            grad.div_(weight)
        return total / weight, seconds

    def _next_batch(self, stage: Stage) -> Batch:
        if self.place.batch >= len(self._load_chunk(stage)):
            self.place.chunk, self.place.batch = self.place.chunk + 1, 0
        batch = self._load_chunk(stage)[self.place.batch]
        self.place.batch += 1
        return batch

    def _load_chunk(self, stage: Stage) -> list[Batch]:
        if self._chunk[0] != self.place.chunk:
            self._chunk = (
                self.place.chunk,
                self.batches.chunk(self.place.chunk, stage.drills, stage.mixture),
            )
        return self._chunk[1]

    def _record(self, stage: Stage, loss: float, rate: float, block: int) -> None:
        self._losses = [*self._losses, loss]
        if self.place.total % LOG_EVERY and self.place.total > 1:
            return
        mean, self._losses = sum(self._losses) / len(self._losses), []
        self.log.write(
            stage=stage.name,
            step=self.place.total,
            loss=round(mean, 4),
            rate=round(rate, 6),
            block=block,
            tokens=self.place.tokens,
            seconds=round(self.place.seconds, 1),
            progress=round(self.progress(stage), 4),
        )

    def _save(self) -> None:
        self._saved = time.monotonic()
        if self.rank == 0:
            save_state(
                self.folder,
                {
                    "place": asdict(self.place),
                    "losses": self._losses,
                    "model": self.model.state_dict(),
                    "optimizers": self.optimizers.state_dict(),
                    "data": self.batches.fingerprint(),
                },
            )

    def _restore(self, state: dict) -> None:
        if state.get("data", (data := self.batches.fingerprint())) != data:
            raise UserError(
                f"The training data has changed since the run in {self.folder} began"
                f" ({state['data']}, now {data}); restore the generators of that version, or train"
                " with resume off."
            )
        self.place, self._losses = Place(**state["place"]), state["losses"]
        try:
            self.model.load_state_dict(state["model"])
            self.optimizers.load_state_dict(state["optimizers"])
        except (RuntimeError, ValueError) as error:
            raise UserError(
                f"The training checkpoint in {self.folder} has other sizes than this recipe; train"
                " with resume off."
            ) from error
