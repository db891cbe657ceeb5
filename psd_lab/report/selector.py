"""Selectors: partial descriptions of decoders, written like the arguments of `generate`.

`{decoder: psd, policy: confidence, threshold: 0.9, depth: 3}` is what claims and figures name
decoders by. Strategies that a selector does not mention are the decoder's usual ones; options,
depth and run options that it does not mention may have any value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

from psd_lab.caches import EXACT
from psd_lab.report import catalog
from psd_lab.report.catalog import KINDS
from psd_lab.report.identity import (
    NONE,
    RUN,
    Decoder,
    Family,
    Options,
    Strategy,
    family_of,
    kind_of_policy,
)
from psd_lib.errors import UserError, did_you_mean, unknown

RUN_OPTIONS = (*RUN, "cache")


@dataclass(frozen=True)
class Selector:
    """A family, and values of options that its members must have."""

    given: Options
    family: Family
    options: tuple[tuple[str, str, Any], ...] = ()  # (kind, option, value)
    depth: int | None = None
    run: Options = ()

    @classmethod
    def parse(cls, given: Mapping[str, Any] | Selector) -> Selector:
        """Read a selector.

        Raises:
            UserError: no decoder, or a name, an option or a kind of value that there is not.
        """
        return given if isinstance(given, Selector) else _Reading(given).selector()

    def with_(self, **changes: Any) -> Selector:
        """The same selector with other values."""
        return Selector.parse({**dict(self.given), **changes})

    def matches(self, decoder: Decoder) -> bool:
        """Whether a decoder is one of those described."""
        return (
            decoder.family == self.family
            and (self.depth is None or decoder.depth == self.depth)
            and all(_of(decoder, kind).get(name) == value for kind, name, value in self.options)
            and all(_run_option(decoder, name) == value for name, value in self.run)
        )

    def __str__(self) -> str:
        return ", ".join(f"{key} {value}" for key, value in self.given)


def select(**given: Any) -> Selector:
    """A selector from keywords: `select(decoder="psd", depth=3)`."""
    return Selector.parse(given)


def family(**given: Any) -> Family:
    """The family that keywords describe: `family(decoder="spiffy")` is Spiffy's chain on greedy."""
    return select(**given).family


class _Reading:
    """One mapping on its way to a selector."""

    def __init__(self, given: Mapping[str, Any]):
        if not isinstance(given, Mapping) or "decoder" not in given:
            raise UserError(
                "a selector must be a mapping with a decoder, such as {decoder: psd, policy:"
                f" confidence, depth: 3}}, got {given!r}."
            )
        self.given = dict(given)
        self.rest = dict(given)
        self.name = _known("decoder", self.rest.pop("decoder"))
        self.method = catalog.method(self.name)
        self.strategies = {kind: self._strategy(kind) for kind in KINDS}

    def selector(self) -> Selector:
        depth, eager = self._depth(), self._eager()
        run = tuple((key, self._run(key)) for key in RUN_OPTIONS if key in self.rest)
        options = tuple(self._option(key) for key in self.rest if key not in RUN_OPTIONS)
        policy = kind_of_policy(self._policy(options), dict(run).get("block_length"))
        bare = depth == 0 and "k" not in self._options("drafter")
        drafter = NONE if bare else self.strategies["drafter"].name
        stop = self.strategies["stop"]
        return Selector(
            tuple(self.given.items()),
            family_of(
                self.name,
                policy,
                drafter,
                self.strategies["acceptor"].name,
                eager=eager,
                stop=stop.name if stop else "",
            ),
            tuple(o for o in options if not (bare and o[0] in ("drafter", "acceptor"))),
            depth,
            run,
        )

    def _strategy(self, kind: str) -> Strategy | None:
        """The strategy of a kind that the selector names, else the decoder's usual one."""
        usual = self.method.usual.get(kind)
        if kind not in self.rest:
            return Strategy.of(kind, usual) if usual else None
        name = _known(kind, self.rest.pop(kind))
        if kind not in self.method.exchanged and name != self.method.usual_name(kind):
            allowed = ", ".join(self.method.exchanged) or "nothing"
            raise UserError(
                f"decoder {self.name!r} has no choice of {kind}, so a selector cannot ask for"
                f" {name!r}; it may name: {allowed}."
            )
        return Strategy.of(kind, usual if usual and usual["name"] == name else {"name": name})

    def _options(self, kind: str) -> Mapping[str, Any]:
        part = self.strategies[kind]
        return catalog.strategy(kind, part.name).options if part else {}

    def _option(self, key: str) -> tuple[str, str, Any]:
        """The kind of the strategy that an option belongs to, the option and its value."""
        kinds = [kind for kind in KINDS if kind in self.method.open and key in self._options(kind)]
        if not kinds:
            accepted = [
                option
                for kind in KINDS
                if kind in self.method.open
                for option in self._options(kind)
            ]
            accepted = list(dict.fromkeys([*self.method.exchanged, *accepted, *RUN_OPTIONS]))
            raise UserError(
                f"a selector of decoder {self.name!r} has no key {key!r}"
                f"{did_you_mean(key, accepted)}; it accepts: {', '.join(accepted)}."
            )
        value = self.rest[key]
        _check(key, value, self._options(kinds[0])[key])
        return kinds[0], key, value

    def _policy(self, options: tuple[tuple[str, str, Any], ...]) -> Strategy:
        """The policy with what the selector says of it, else with the values of `generate`."""
        part = self.strategies["policy"]
        said = {name: value for kind, name, value in options if kind == "policy"}
        return Strategy.of("policy", {"name": part.name, **dict(part.options), **said})

    def _depth(self) -> int | None:
        if "depth" not in self.rest:
            return None
        depth = self.rest.pop("depth")
        if isinstance(depth, bool) or not isinstance(depth, int) or depth < 0:
            raise UserError(f"depth in a selector must be a whole number from 0, got {depth!r}.")
        if depth and self.strategies["drafter"].name == NONE:
            raise UserError(f"decoder {self.name!r} drafts nothing, so it has no depth {depth}.")
        return depth

    def _eager(self) -> bool:
        if "eager" not in self.rest or "eager" not in self._options("drafter"):
            return False
        eager = self.rest.pop("eager")
        _check("eager", eager, False)
        return eager

    def _run(self, key: str) -> Any:
        value = self.rest[key]
        if key == "cache":
            return value if value == EXACT else _known("cache", value)
        if not (key == "block_length" and value is None):
            _check(key, value, 0)
        return value


def _known(kind: str, name: Any) -> str:
    if name not in catalog.names(kind):
        raise unknown(kind, name, catalog.names(kind))
    return name


def _check(key: str, value: Any, default: Any) -> None:
    """Refuse a value of another kind than the default, which nothing could equal."""
    if default is None:
        return
    expected = bool if isinstance(default, bool) else Real if isinstance(default, Real) else str
    if not isinstance(value, expected) or isinstance(value, bool) is not (expected is bool):
        kind = {bool: "true or false", Real: "a number", str: "text"}[expected]
        raise UserError(f"{key} in a selector must be {kind}, got {value!r}.")


def _of(decoder: Decoder, kind: str) -> Strategy:
    return getattr(decoder, kind)


def _run_option(decoder: Decoder, name: str) -> Any:
    return decoder.cache.name if name == "cache" else getattr(decoder, name)
