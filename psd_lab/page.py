"""Tables and lines on stdout: drawn in a terminal, one plain line a row in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

FIRST_COLUMN = 16  # characters, so that tables below one another begin their second column alike


@dataclass(frozen=True)
class Table:
    """Rows of texts below a header."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def columns(self) -> list[Sequence[str]]:
        """Return the columns, each with its header first."""
        return list(zip(self.header, *self.rows, strict=True))


Page = Iterable[Table | str]


def show(page: Page) -> None:
    """Print a page on stdout."""
    if sys.stdout.isatty():
        _draw(page)
    else:
        for line in lines(page):
            print(line)


def lines(page: Page) -> Iterator[str]:
    """Yield a page as lines that are never wrapped, so that grep and awk find whole rows."""
    for part in page:
        if isinstance(part, str):
            yield part
        else:
            yield from _columns(part)


def _columns(table: Table) -> Iterator[str]:
    """Yield rows as lines, each column as wide as its longest entry."""
    columns = table.columns()
    widths = [max(map(len, column)) for column in columns]
    widths[0] = max(FIRST_COLUMN, widths[0])
    right = [_numeric(column) for column in columns]
    for row in (table.header, *table.rows):
        cells = (
            text.rjust(width) if number else text.ljust(width)
            for text, width, number in zip(row, widths, right, strict=True)
        )
        yield "  ".join(cells).rstrip()


def _numeric(column: Sequence[str]) -> bool:
    """Whether all texts of a column behind its first, the header, are numbers or empty."""
    return any(column[1:]) and not any(text.strip("0123456789.") for text in column[1:])


def _draw(page: Page) -> None:
    from rich import box, table
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for part in page:
        if isinstance(part, str):
            if part:  # a drawn table has empty lines around it
                console.print(Text(part))
            continue
        drawn = table.Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for number, column in enumerate(part.columns(), start=1):
            drawn.add_column(
                column[0],
                justify="right" if _numeric(column) else "left",
                style="cyan" if number == 1 else "",
                no_wrap=number < len(part.header),
                overflow="fold",
            )
        for row in part.rows:
            drawn.add_row(*map(Text, row))
        console.print(drawn)
