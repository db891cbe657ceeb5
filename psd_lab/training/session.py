"""The command's way into training: prepares the tokenizer, starts the trainer on what the machine
has, exports.
"""

from __future__ import annotations

import itertools
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from transformers import PreTrainedTokenizerFast

from psd_lab import paths
from psd_lab.training.batches import examples
from psd_lab.training.card import write_card
from psd_lab.training.export import export
from psd_lab.training.recipe import Recipe
from psd_lab.training.recipes import RECIPES
from psd_lab.training.tokenizer import train_tokenizer
from psd_lab.training.trainer import Trainer
from psd_lib.errors import UserError
from psd_lib.models.loading import locate

TOKENIZER = "tokenizer"


def train(
    model: str = "mini-sdar",
    out: str | Path | None = None,
    resume: bool = True,
    minutes: float | None = None,
    device: str | None = None,
    ranks: int | None = None,
    work: str | Path | None = None,
    compiled: bool | None = None,
    score_items: int = 200,
) -> Path:
    """Trains embedded model `model` and writes it to folder `out` (default data/models/<model>);
    returns the folder.

    `minutes` limits the time of all stages together; `work` holds checkpoints and the log (default
    data/models/.training/<model>), from which `resume` goes on. A CUDA device is used where there
    is one; on a CPU two single-thread processes (`ranks`) share each batch. `compiled` (default: on
    a CUDA device where a C++ compiler is found) is left off on a CPU, where it took over ten
    minutes at every start and made no step faster. Afterwards the model is scored on `score_items`
    test items per task for its card (0: no card). Raises UserError for an unknown model, a budget
    that is not positive, an unavailable device, or a loss that is no longer finite.
    """
    recipe = budgeted(find_recipe(model), minutes)
    out = Path(out) if out else paths.MODELS / model
    work = Path(work) if work else paths.MODELS / ".training" / model
    if not resume:
        shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True, exist_ok=True)
    device = find_device(device)
    ranks = ranks or (1 if device != "cpu" else min(2, os.cpu_count() or 1))
    if compiled is None:
        compiled = device == "cuda" and shutil.which(os.environ.get("CXX", "g++")) is not None
    prepare_tokenizer(recipe, work)
    if ranks == 1:
        _work(0, 1, recipe, work, device, 0, compiled)
    else:
        _spawn(ranks, recipe, work, device, 29500 + os.getpid() % 1000, compiled)
    export(recipe, work, out)
    if score_items:
        write_card(recipe, model, work, out, score_items)
    return out


def find_device(device: str | None) -> str:
    """The device to train on: as asked, else "cuda" where there is one, else "cpu"; UserError where
    it cannot be had.
    """
    cuda = torch.cuda.is_available()
    if device not in (None, "cpu", "cuda"):
        raise UserError(f"device must be cpu or cuda, not {device!r}.")
    if device == "cuda" and not cuda:
        raise UserError("device cuda was asked for, but torch sees no CUDA device here; use cpu.")
    return device or ("cuda" if cuda else "cpu")


def find_recipe(model: str) -> Recipe:
    """The recipe of `model`; UserError that lists the known ones otherwise."""
    if model not in RECIPES:
        raise UserError(
            f"There is no training recipe for {model!r}; there is one for: {', '.join(RECIPES)}."
        )
    return RECIPES[model]


def budgeted(recipe: Recipe, minutes: float | None) -> Recipe:
    """`recipe` with `minutes` shared out among its stages by their steps (None: no limit but the
    steps).

    A stage that ends by the clock makes the run depend on the machine's speed: only without
    `minutes` a run repeats itself.
    """
    if minutes is None:
        return recipe
    if not minutes > 0:
        raise UserError(f"minutes must be a positive number, not {minutes!r}.")
    share = minutes / sum(stage.steps for stage in recipe.stages)
    return replace(recipe, stages=tuple(replace(s, minutes=s.steps * share) for s in recipe.stages))


def prepare_tokenizer(recipe: Recipe, work: Path) -> PreTrainedTokenizerFast:
    """The tokenizer of a run: read from its folder, or taken from the embedded model that the
    recipe names, or learned from the recipe's examples, and saved there."""
    folder = work / TOKENIZER
    if not folder.exists() and (source := recipe.tokenizer or recipe.start):
        PreTrainedTokenizerFast.from_pretrained(locate(source)).save_pretrained(folder)
    elif not folder.exists():
        drawn = itertools.islice(
            examples(list(recipe.tasks), recipe.seed, 0.05), recipe.tokenizer_examples
        )
        tokenizer = train_tokenizer((e.prompt + e.reference for e in drawn), recipe.shape.vocab)
        tokenizer.save_pretrained(work / f"{TOKENIZER}.partial")
        os.replace(work / f"{TOKENIZER}.partial", folder)
    return PreTrainedTokenizerFast.from_pretrained(folder)


def _work(
    rank: int, ranks: int, recipe: Recipe, work: Path, device: str, port: int, compiled: bool
) -> None:
    if device == "cpu":
        torch.set_num_threads(1 if ranks > 1 else torch.get_num_threads())
    if ranks > 1:
        dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=ranks)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(work / TOKENIZER)
    Trainer(recipe, tokenizer, work, device, rank, ranks, compiled=compiled).run()
    if ranks > 1:
        dist.destroy_process_group()


def _spawn(ranks: int, *arguments: Any) -> None:
    try:
        mp.spawn(_work, (ranks, *arguments), nprocs=ranks)
    except mp.ProcessRaisedException as error:
        # Only the text of an exception comes back from another process.
        before, found, sentence = str(error).rstrip().rpartition(f"{UserError.__name__}: ")
        if not found:
            raise
        raise UserError(sentence) from None
