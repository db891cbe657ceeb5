"""What stands between the markers of README.md: figure, results, claims and the index of the
notebooks, from committed files.

`python -m psd_lab.report.readme` writes it; a test fails when the README is older than the results.
No number in the README is typed by hand.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd

from psd_lab import paths
from psd_lab.files import write_atomically
from psd_lab.report.table import folder_of, markdown
from psd_lab.runs.store import PUBLISHED, read_published
from psd_lab.runs.tiers import CITED
from psd_lib.errors import UserError

FIGURE = "40_pareto"
MARKER = re.compile(r"(<!-- begin: (?P<name>\w+) -->\n).*?(<!-- end: (?P=name) -->)", re.DOTALL)


def fill(text: str) -> str:
    """The README text with every marked section computed anew.

    Raises:
        UserError: a section is unknown, or one of the known sections has no markers.
    """
    found = [match["name"] for match in MARKER.finditer(text)]
    if sorted(found) != sorted(SECTIONS):
        raise UserError(
            f"README.md must have one marked section each for {', '.join(SECTIONS)}, found"
            f" {', '.join(found) or 'none'}."
        )
    return MARKER.sub(lambda match: match[1] + SECTIONS[match["name"]]() + "\n" + match[3], text)


def update(path: Path | None = None) -> bool:
    """Rewrites the marked sections of README.md; returns whether anything changed."""
    path = path or paths.ROOT / "README.md"
    before = path.read_text(encoding="utf-8")
    after = fill(before)
    if after != before:
        write_atomically(path, after)
    return after != before


def figure() -> str:
    """The Pareto figure of the last published run."""
    caption = paths.FIGURES / f"{FIGURE}.txt"
    if not caption.is_file():
        return _missing()
    words = caption.read_text(encoding="utf-8").strip()
    name = paths.FIGURES.name
    return (
        f"![Accuracy against tokens per forward]({name}/{FIGURE}.png)\n\n*{words}*"
        f" ([data]({name}/{FIGURE}.csv), [pdf]({name}/{FIGURE}.pdf))"
    )


def results() -> str:
    """The headline table of the last published run, with what that run was and what it cost."""
    return "\n\n".join(part for part in (_table("40_headline"), cost()) if part)


def cost() -> str:
    """Size, machine and decoding time of the last published run, from its rows; empty where none is
    published.
    """
    path = paths.RESULTS / CITED / PUBLISHED
    if not path.is_file():
        return ""
    contents = read_published(path)
    rows = pd.DataFrame(
        [
            {
                key: row[key]
                for key in ("model", "task", "label", "example_id", "model_ms", "loop_ms")
            }
            for row in contents.rows.values()
        ]
    )
    items = rows.groupby(["model", "task", "label"]).example_id.nunique()
    count = f"{items.min()}" if items.min() == items.max() else f"{items.min()} to {items.max()}"
    hours = (rows.model_ms + rows.loop_ms).sum() / 3.6e6
    spent = f"{60 * hours:.0f} minutes" if hours < 2 else f"{hours:.1f} hours"
    machines = sorted(
        {
            f"{run['gpu'] or run['cpu']}, {run['threads']} threads"
            for run in contents.provenance.values()
        }
    )
    commits = sorted(
        {
            str(run["commit"])[:10] + (" with changes" if run["dirty"] else "")
            for run in contents.provenance.values()
        }
    )
    return (
        f"The run behind every number here (`psd reproduce --tier {CITED}`): {rows.model.nunique()}"
        f" models, {rows.task.nunique()} tasks, {count} items of each task per decoder,"
        f" {rows.label.nunique()} decoders, {len(rows)} decoded answers in {spent} of decoding on"
        f" {' and '.join(machines)}; code at commit {', '.join(commits)}."
    )


def claims() -> str:
    """Every claim with its verdict, from the last published run."""
    return _table("90_verdicts")


def notebooks() -> str:
    """The index of the notebooks: each one's title and question, read from its first cell."""
    lines = []
    for path in sorted(paths.NOTEBOOKS.glob("*.ipynb")):
        title, question, place = introduction(path)
        link = f"[{path.stem}]({paths.NOTEBOOKS.name}/{path.name})"
        lines.append({"notebook": f"{link} {title}", "question": question, "in the paper": place})
    return markdown(pd.DataFrame(lines))


def introduction(path: Path) -> tuple[str, str, str]:
    """(title, question, place in the paper) of a notebook, from its first cell.

    Raises:
        UserError: the first cell lacks one of them.
    """
    cell = json.loads(path.read_text(encoding="utf-8"))["cells"][0]
    text = "".join(cell["source"])
    parts = [
        re.search(pattern, text, re.MULTILINE)
        for pattern in (r"^# (.+)$", r"^\*\*Question\.\*\* (.+)$", r"^\*\*In the paper\.\*\* (.+)$")
    ]
    if None in parts:
        raise UserError(
            f"the first cell of {path.name} must hold a title, a **Question.** and an **In the"
            " paper.** line."
        )
    title, question, place = (part[1].strip() for part in parts)
    return title.partition(" ")[2] if title.split()[0] == path.stem else title, question, place


SECTIONS = {"figure": figure, "results": results, "claims": claims, "notebooks": notebooks}


def _table(id: str) -> str:
    path = folder_of(CITED) / f"{id}.md"
    return path.read_text(encoding="utf-8").strip() if path.is_file() else _missing()


def _missing() -> str:
    return (
        f"*No results of tier `{CITED}` are committed yet; `make reproduce TIER={CITED}` writes"
        " them.*"
    )


if __name__ == "__main__":
    print("README.md changed" if update() else "README.md is up to date")
