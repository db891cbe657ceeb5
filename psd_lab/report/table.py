"""A table as it is kept and shown: exact numbers as CSV, rounded text as HTML and Markdown.

The HTML holds no ids and no styles of its own, so that two runs over the same rows print the same
bytes (a pandas Styler draws random ids, which notebook checks then report as changes).
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from tabulate import DataRow, TableFormat

from psd_lab import paths
from psd_lab.files import write_atomically

# GitHub's tables without padding, so that a changed cell changes one line.
GITHUB = TableFormat(
    lineabove=None,
    linebelowheader=lambda widths, _: f"| {' | '.join(['---'] * len(widths))} |",
    linebetweenrows=None,
    linebelow=None,
    headerrow=DataRow("|", "|", "|"),
    datarow=DataRow("|", "|", "|"),
    padding=1,
    with_header_hide=None,
)
LONG = 40  # lines; a longer table is shown folded, so that it does not bury what stands around it


@dataclass(frozen=True)
class Table:
    """One table: `data` holds numbers, `shown` the same rows as rounded text for people.

    `timed` names shown columns that hold wall-clock numbers; they go to the files and never to
    notebook output. `notes` are sentences that stand below the caption: what is reconstructed or
    adapted in the decoders that the table shows.
    """

    id: str
    caption: str
    data: pd.DataFrame
    shown: pd.DataFrame
    timed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def visible(self) -> pd.DataFrame:
        """What a notebook prints: everything but wall-clock columns, as text."""
        return self.shown.drop(columns=list(self.timed)).astype(str)

    def __repr__(self) -> str:
        return "\n".join(
            [
                self.caption,
                self.visible.to_string(index=False),
                *(f"Note: {note}" for note in self.notes),
            ]
        )

    def _repr_html_(self) -> str:
        body = self.visible.to_html(index=False, border=0, escape=True)
        # Short cells stay on one line, because an interval that wraps is hard to read; sentences
        # get room and a left edge.
        body = re.sub(r"<td>(?=[^<]{0,44}</td>)", '<td style="white-space:nowrap">', body)
        body = body.replace("<td>", '<td style="text-align:left;min-width:16em">')
        if len(self.shown) > LONG:
            body = (
                f"<details><summary>{len(self.shown)} lines, click to"
                f" unfold</summary>\n{body}\n</details>"
            )
        notes = "".join(f"<li><em>{html.escape(note)}</em></li>" for note in self.notes)
        return f"{body}\n<p><em>{html.escape(self.caption)}</em></p>" + (
            f"\n<ul>{notes}</ul>" if notes else ""
        )

    def markdown(self) -> str:
        """The table with its caption as GitHub Markdown, wall-clock columns included."""
        notes = "".join(f"* *{note}*\n" for note in self.notes)
        return f"{markdown(self.shown)}\n\n*{self.caption}*\n" + (f"\n{notes}" if notes else "")

    def save(self, tier: str) -> Table:
        """Write `data/results/<tier>/tables/<id>.{csv,md}` and return the table, to be shown."""
        folder = folder_of(tier)
        numbers = self.data.to_csv(index=False, float_format="%.6g", lineterminator="\n")
        write_atomically(folder / f"{self.id}.csv", numbers)
        write_atomically(folder / f"{self.id}.md", self.markdown())
        return self


def markdown(frame: pd.DataFrame) -> str:
    """Write a frame as a GitHub Markdown table of text, without its index."""
    text = frame.astype(str).map(lambda cell: cell.replace("|", "\\|").replace("\n", " "))
    return text.to_markdown(index=False, tablefmt=GITHUB, stralign=None, disable_numparse=True)


def folder_of(tier: str) -> Path:
    """Where the tables of a tier are kept."""
    return paths.RESULTS / tier / "tables"
