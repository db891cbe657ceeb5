"""Pages: one line a row in a pipe, drawn tables in a terminal."""

import io
import re
import sys

import pytest

from psd_lab.page import Table, lines, show

TABLE = Table(("NAME", "SIZE", "WHAT"), [("a", "1.5", "short"), ("bb", "10", "long " * 30)])


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def test_a_row_is_a_line_with_numbers_on_the_right():
    assert list(lines(["first", TABLE])) == [
        "first",
        "NAME              SIZE  WHAT",
        "a                  1.5  short",
        f"bb                  10  {('long ' * 30).rstrip()}",
    ]


def test_a_pipe_gets_the_lines(capsys):
    show([TABLE, "", "last"])
    assert capsys.readouterr().out.splitlines() == [*lines([TABLE]), "", "last"]


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_gets_a_table_of_its_width(monkeypatch, width):
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    for name, value in {"COLUMNS": str(width), "NO_COLOR": "1", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    show([TABLE, "", "text in [brackets] and :smile: stays as it is"])
    printed = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue())
    assert max(map(len, printed.splitlines())) <= width
    assert "─" * 20 in printed
    assert "text in [brackets] and :smile: stays as it is" in printed
    assert printed.count("long") == 30
