"""`Results`: prepared rows, and what tables, figures and claims derive from them, once each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

import pandas as pd

from psd_lab.report import naming
from psd_lab.report.identity import Decoder
from psd_lab.report.numbers import summarise
from psd_lab.report.pairs import ITEM, Items, Pair
from psd_lab.report.selector import Selector, select
from psd_lib.errors import UserError


class Results:
    """The rows of one or several experiments, as `report.rows.prepare` makes them.

    Parts (`where`, `by_model`, `cells`) are `Results` too. The rows must not be changed afterwards.
    """

    def __init__(self, frame: pd.DataFrame):
        self.frame = frame
        self._pairs: dict[tuple[Decoder, Decoder], Pair] = {}
        self._items: dict[Decoder, Items] = {}

    def __len__(self) -> int:
        return len(self.frame)

    def __repr__(self) -> str:
        counts = [self.frame[name].nunique() for name in ("label", "example_id", "model")]
        return "{} rows: {} decoders on {} items, {} models".format(len(self), *counts)

    @cached_property
    def models(self) -> list[str]:
        """The models, in the order of their first appearance."""
        return list(self.frame.model.unique())

    @cached_property
    def tasks(self) -> list[str]:
        """The tasks, in the order of their first appearance."""
        return list(self.frame.task.unique())

    @cached_property
    def parts(self) -> dict[Decoder, pd.DataFrame]:
        """The rows of every decoder, in the order of first appearance."""
        return dict(iter(self.frame.groupby("setting", sort=False)))

    @cached_property
    def by_model(self) -> dict[str, Results]:
        """The results of every model, in the order of first appearance."""
        return {str(key): Results(rows) for key, rows in self.frame.groupby("model", sort=False)}

    @cached_property
    def cells(self) -> dict[tuple[str, str], Results]:
        """The results of every model and task, in the order of first appearance."""
        groups = self.frame.groupby(["model", "task"], sort=False)
        return {(str(model), str(task)): Results(rows) for (model, task), rows in groups}

    def where(self, kept: pd.Series) -> Results:
        """The rows for which `kept` (bool, in the order of the rows) is true."""
        return Results(self.frame[kept])

    def of(self, chosen: Callable[[Decoder], bool]) -> Results:
        """The rows of the decoders for which `chosen` is true."""
        return self.where(self.frame.setting.map({d: chosen(d) for d in self.parts}).astype(bool))

    def shared_items(self) -> Results:
        """The rows of the items that every decoder of the model has in the task."""
        decoders = self.frame.groupby(["model", "task"]).setting.transform("nunique")
        ran = self.frame.groupby(ITEM).setting.transform("size")
        return Results(self.frame[ran == decoders].reset_index(drop=True))

    def matching(self, selector: Selector) -> list[Decoder]:
        """The decoders that a selector describes, in the order of the rows."""
        return [decoder for decoder in self.parts if selector.matches(decoder)]

    def find(self, selector: Selector | None = None, **given: Any) -> Decoder | None:
        """The one decoder that a selector, or keywords like `decoder="psd", depth=3`, describe;
        None if it was not run.

        Raises:
            UserError: a word that there is not, or several decoders that differ in what the
                selector does not say.
        """
        wanted = selector or select(**given)
        found = self.matching(wanted)
        several = {d.steps for d in found}
        if len(several) > 1:
            labels = ", ".join(self.label(decoder) for decoder in found)
            raise UserError(
                f"the selector {{{wanted}}} describes several decoders ({labels}); add the options"
                " in which they differ."
            )
        return found[0] if found else None

    def label(self, decoder: Decoder) -> str:
        """What a decoder is called in tables."""
        return str(self.parts[decoder].label.iloc[0])

    def own_policy(self, decoder: Decoder) -> Decoder | None:
        """The same policy without drafts and stop rule, in the same context; None if not run."""
        return self._references[0].get((decoder.policy, decoder.context))

    def greedy(self, decoder: Decoder) -> Decoder | None:
        """One-token-per-step decoding in the same context; None if not run."""
        return self._references[1].get(decoder.context)

    def pair(self, ours: Decoder, base: Decoder) -> Pair:
        """Two decoders on the items that they share."""
        key = (ours, base)
        if key not in self._pairs:
            self._pairs[key] = Pair.of(self._of(ours), self._of(base))
        return self._pairs[key]

    def against_policy(self, decoder: Decoder) -> Pair | None:
        """A decoder and its own policy; None for a bare policy and where that was not run."""
        base = self.own_policy(decoder)
        return None if base is None or base == decoder else self.pair(decoder, base)

    def against_greedy(self, decoder: Decoder) -> Pair | None:
        """A decoder and greedy; None for greedy itself and where that was not run."""
        base = self.greedy(decoder)
        return None if base is None or base == decoder else self.pair(decoder, base)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is reconstructed or adapted in these decoders: each sentence once, in the order of
        the rows.

        A sentence that does not name its method, such as an acceptor's, gets the name of the first
        decoder that it holds for.
        """
        notes: dict[str, str] = {}
        for decoder in self.parts:
            method = naming.decoder_title(decoder.decoder)
            for note in decoder.notes:
                named = method.lower() in note.lower()
                notes.setdefault(note, note if named else f"{method}: {note}")
        return tuple(notes.values())

    @property
    def numbers(self) -> pd.DataFrame:
        """One record per model, task and decoder, in the order of the rows (see `summarise`)."""
        return self._numbers.copy()

    @cached_property
    def _numbers(self) -> pd.DataFrame:
        cells = self.cells.values()
        return pd.DataFrame([summarise(cell, decoder) for cell in cells for decoder in cell.parts])

    def _of(self, decoder: Decoder) -> Items:
        if decoder not in self._items:
            self._items[decoder] = Items.of(self.parts[decoder])
        return self._items[decoder]

    @cached_property
    def _references(self) -> tuple[dict[tuple, Decoder], dict[tuple, Decoder]]:
        """The first bare decoder of every (policy, context), and the first greedy one of every
        context.
        """
        return (
            _first((d.policy, d.context, d) for d in self.parts if d.plain),
            _first((d.context, d) for d in self.parts if d.greedy),
        )


def _first(keyed: Iterable[tuple]) -> dict[Any, Decoder]:
    found: dict[Any, Decoder] = {}
    for *key, decoder in keyed:
        found.setdefault(key[0] if len(key) == 1 else tuple(key), decoder)
    return found
