"""Train an embedded model from its recipe: check, prepare the tokenizer, train, export, score."""

from __future__ import annotations

import itertools
import math
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
from psd_lab.extras import require
from psd_lab.training.batches import examples
from psd_lab.training.export import export
from psd_lab.training.places import TOKENIZER, check_places, clear, draft_folder, locked
from psd_lab.training.recipe import Recipe
from psd_lab.training.recipes import RECIPES
from psd_lab.training.tokenizer import train_tokenizer
from psd_lab.training.trainer import Trainer
from psd_lib.errors import UserError
from psd_lib.models.loading import locate


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
    """Train an embedded model and write it, with its card, to a folder.

    Args:
        model: Name of a recipe.
        out: Folder of the checkpoint; data/models/<model> unless given. It must be new, empty, or
            hold an earlier checkpoint of this model, which is replaced.
        resume: Go on from the state in `work`; otherwise start anew.
        minutes: Limit on the time of all stages together; none but the recipe's steps if None.
        device: "cpu" or "cuda"; a GPU where there is one if None.
        ranks: Processes that share each batch, 1 or 2; None for 2 with one thread each on a CPU.
        work: Folder of the training's state and log; data/models/.training/<model> unless given.
        compiled: Whether to compile the network. None for yes on a GPU where a C++ compiler is
            found: on a CPU it took ten minutes at every start and made no step faster.
        score_items: Test items of each task that the card's scores are measured on; 0 for no card.

    Returns:
        The folder of the checkpoint.

    Raises:
        UserError: An argument is refused, a folder cannot be used, another process trains there,
            or the loss is no longer finite. Training that was done is kept.
    """
    recipe = budgeted(find_recipe(model), minutes)
    device = find_device(device)
    ranks = find_ranks(ranks, device)
    if isinstance(score_items, bool) or not isinstance(score_items, int) or score_items < 0:
        raise UserError(f"score_items must be a whole number of at least 0, not {score_items!r}.")
    if score_items:
        require("notebooks", "matplotlib", purpose="The card of a trained model")
    if compiled is None:
        compiled = device == "cuda" and shutil.which(os.environ.get("CXX", "g++")) is not None
    out = folder_of("out", out, paths.MODELS / model)
    work = folder_of("work", work, paths.MODELS / ".training" / model)
    check_places(model, out, work)
    with locked(work), locked(out):
        if not resume:
            clear(work)
        prepare_tokenizer(recipe, work)
        if ranks == 1:
            _work(0, 1, recipe, work, device, 0, compiled)
        else:
            _spawn(ranks, recipe, work, device, 29500 + os.getpid() % 1000, compiled)
        export(recipe, model, work, out)
        if score_items:
            from psd_lab.training.card import write_card

            write_card(out, score_items)
    return out


def folder_of(name: str, given: str | Path | None, default: Path) -> Path:
    """Return a folder as an absolute path.

    Raises:
        UserError: It is given and is neither a text nor a path.
    """
    if given is None:
        return default
    if not isinstance(given, str | Path) or not str(given) or "\0" in str(given):
        raise UserError(f"{name} must be the path of a folder, not {given!r}.")
    return Path(given).expanduser().resolve()


def find_device(device: str | None) -> str:
    """Return the device to train on: `device`, or if None "cuda" where there is a GPU, else "cpu".

    Raises:
        UserError: The device is unknown, or there is no GPU.
    """
    cuda = torch.cuda.is_available()
    if device not in (None, "cpu", "cuda"):
        raise UserError(f"device must be cpu or cuda, not {device!r}.")
    if device == "cuda" and not cuda:
        raise UserError("device cuda was asked for, but torch sees no CUDA device here; use cpu.")
    return device or ("cuda" if cuda else "cpu")


def find_ranks(ranks: int | None, device: str) -> int:
    """Return the number of processes: `ranks`, or if None 1 on a GPU, else one per core up to 2.

    Raises:
        UserError: It is not 1 or 2; a batch has an even number of rows, so two share it equally.
    """
    if ranks is None:
        return 1 if device != "cpu" else min(2, os.cpu_count() or 1)
    if isinstance(ranks, bool) or ranks not in (1, 2):
        raise UserError(f"ranks must be 1 or 2, not {ranks!r}.")
    return ranks


def find_recipe(model: str) -> Recipe:
    """Return the recipe of `model`.

    Raises:
        UserError: There is none; the message lists those there are.
    """
    if not isinstance(model, str) or model not in RECIPES:
        raise UserError(
            f"There is no training recipe for {model!r}; there is one for: {', '.join(RECIPES)}."
        )
    return RECIPES[model]


def budgeted(recipe: Recipe, minutes: float | None) -> Recipe:
    """Return `recipe` with `minutes` shared out among its stages by their steps.

    A stage that ends by the clock makes the run depend on the machine's speed: only with `minutes`
    None does a run repeat itself.

    Raises:
        UserError: `minutes` is not a positive number.
    """
    if minutes is None:
        return recipe
    number = isinstance(minutes, int | float) and not isinstance(minutes, bool)
    if not number or not 0 < minutes < math.inf:
        raise UserError(f"minutes must be a positive number, not {minutes!r}.")
    share = minutes / sum(stage.steps for stage in recipe.stages)
    return replace(recipe, stages=tuple(replace(s, minutes=s.steps * share) for s in recipe.stages))


def prepare_tokenizer(recipe: Recipe, work: Path) -> PreTrainedTokenizerFast:
    """Return the tokenizer of a run, which is saved in `work`.

    It is read from there, else taken from the embedded model that the recipe names, else learned
    from the recipe's examples.

    Raises:
        UserError: The saved tokenizer cannot be read.
    """
    folder = work / TOKENIZER
    if not folder.exists():
        if source := recipe.tokenizer or recipe.start:
            tokenizer = PreTrainedTokenizerFast.from_pretrained(locate(source))
        else:
            drawn = examples(list(recipe.tasks), recipe.seed, 0.05)
            texts = (e.prompt + e.reference for e in drawn)
            texts = itertools.islice(texts, recipe.tokenizer_examples)
            tokenizer = train_tokenizer(texts, recipe.shape.vocab)
        with draft_folder(work) as draft:
            tokenizer.save_pretrained(draft / TOKENIZER)
            os.replace(draft / TOKENIZER, folder)
    try:
        return PreTrainedTokenizerFast.from_pretrained(folder)
    except Exception as error:  # the libraries raise whatever their parsers raise
        raise UserError(
            f"The tokenizer in {folder} cannot be read ({type(error).__name__}): train with resume"
            " off."
        ) from error


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
        _, found, sentence = str(error).rstrip().rpartition(f"{UserError.__name__}: ")
        if not found:
            raise
        raise UserError(sentence) from None
    except mp.ProcessExitedException as error:
        if error.signal_name:
            why = f"was killed by {error.signal_name} (out of memory?)"
        else:
            why = (
                f"ended with exit code {error.exit_code}, for the reason above; a script that calls"
                ' train needs `if __name__ == "__main__":`, or ranks=1'
            )
        raise UserError(
            f"a training process {why}: the last checkpoint is kept; run again to go on."
        ) from None
