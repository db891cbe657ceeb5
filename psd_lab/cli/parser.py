"""What the parser of the command line says: help pages, usage errors, and no option twice."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from psd_lib.errors import did_you_mean


class _Readable:
    """Shows flags without a type, which they do not take."""

    def get_params(self, ctx: typer.Context) -> list[Any]:
        """Return the parameters, flags with an empty placeholder."""
        params = super().get_params(ctx)
        for param in params:
            if getattr(param, "is_flag", False):
                param.metavar = ""
        return params


class Group(_Readable, TyperGroup):
    """The command as a whole."""


class Command(_Readable, TyperCommand):
    """A command that refuses an option given twice, where the last one would win in silence."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        """Count what is given before parsing it."""
        if not ctx.resilient_parsing:  # completion parses what is not complete yet
            _, _, given = self.make_parser(ctx).parse_args(args=list(args))
            for param, times in Counter(given).items():
                if times > 1 and param.param_type_name == "option" and not param.multiple:
                    ctx.fail(f"Option {param.opts[0]!r} is given {times} times.")
        return super().parse_args(ctx, args)


NUMBERS = {"int_parsing": "a whole number", "float_parsing": "a number"}


def sentence(error: typer.TyperException) -> str:
    """Return a usage error as one sentence that names the help page."""
    text = _problem(error)
    context = getattr(error, "ctx", None)
    page = f"; see {context.command_path} --help" if context else ""
    return f"{text[:1].lower()}{text[1:]}{page}."


def _problem(error: typer.TyperException) -> str:
    if (name := getattr(error, "option_name", None)) and hasattr(error, "possibilities"):
        meant = did_you_mean(name, error.possibilities or ())
        return f"no such option: {name}{meant or ' (-- goes before a text that begins with -)'}"
    checked = getattr(error.__cause__, "errors", list)()  # pydantic's, which converts the values
    if checked and checked[0]["type"] in NUMBERS:
        value = checked[0]["input"]
        return (
            f"{error.param.get_error_hint()} must be {NUMBERS[checked[0]['type']]}, got {value!r}"
        )
    text = " ".join(error.format_message().split()).rstrip(".").replace("Value error, ", "")
    return re.sub(r"\. Did (you mean .*\?)$", r" (did \1)", text)
