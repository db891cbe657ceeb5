"""Say which decoder a row belongs to, as a value: claims, tables, colours and figures compare these
values and never the words that are printed for them.

`Decoder` is a configuration with all its options, the same on every model and task. `Family` is
what of it shares a line in a figure: the method with its strategies, whatever their numbers.
`Selector` is a partial description, written like the arguments of `generate`, that some decoders
match.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

from psd_lab.caches import EXACT, EXACT_CACHES
from psd_lab.report import catalog, naming

Options = tuple[tuple[str, Any], ...]
GREEDY, AUTOREGRESSIVE = "greedy", "autoregressive"
NONE = "none"
STORED = {"drafter": "builder"}  # what rows call a kind, where it is another word
RUN = ("block_length", "temperature", "seed")
APART = {*RUN, "decoder", "gen_length", "cache", "policy", "builder", "acceptor", "stop"}


@dataclass(frozen=True)
class Strategy:
    """One strategy of a decoder: its kind, its name and its options, in alphabetical order."""

    kind: str
    name: str
    options: Options = ()

    @classmethod
    def of(cls, kind: str, described: Mapping[str, Any]) -> Strategy:
        """Read a strategy as rows store it: a mapping with `name` and the options."""
        options = {key: value for key, value in described.items() if key != "name"}
        return cls(kind, described["name"], frozen_options(options))

    @property
    def declared(self) -> Mapping[str, Any]:
        """The options that the strategy has, with their defaults, in the order of declaration."""
        return catalog.strategy(self.kind, self.name).options

    def get(self, option: str) -> Any:
        """The value of an option: as stored, else its default, else None."""
        return dict(self.options).get(option, self.declared.get(option))

    @property
    def second_model(self) -> str:
        """The name of the second trained model; "" for none."""
        option = catalog.strategy(self.kind, self.name).second_model
        return str(self.get(option) or "") if option else ""


@dataclass(frozen=True, order=True)
class Family:
    """What shares a line in a figure. It prints as its title.

    `policy` is a policy's name, or "greedy" (one token per step), or "autoregressive" (from left
    to right, in blocks of one). `method` is "" where there is nothing beside the policy, or where a
    stop rule was added to it.
    """

    policy: str
    method: str = ""
    drafter: str = NONE
    acceptor: str = NONE
    eager: bool = False
    stop: str = ""

    def __str__(self) -> str:
        return naming.family_title(self)

    @property
    def drafts(self) -> bool:
        """Whether states are guessed ahead, or branches compared."""
        return self.drafter != NONE

    @property
    def has_usual_policy(self) -> bool:
        """Whether the policy is the one that its method has unless the user says otherwise."""
        usual = catalog.method(self.method).usual["policy"]
        return self.policy == kind_of_policy(Strategy.of("policy", usual), None)

    @property
    def base(self) -> Family:
        """The same method and policy with the method's usual strategies and no stop rule."""
        if not self.drafts:
            return Family(self.policy)
        usual = catalog.method(self.method)
        names = (usual.usual_name("drafter"), usual.usual_name("acceptor"))
        return Family(self.policy, self.method, *names)

    @property
    def exchanged(self) -> tuple[str, ...]:
        """What is not as in `base`: names of strategies, and "eager"."""
        base = self.base
        own = ((self.drafter, base.drafter), (self.acceptor, base.acceptor), (self.stop, base.stop))
        return tuple(name for name, usual in own if name != usual) + ("eager",) * self.eager


@dataclass(frozen=True)
class Decoder:
    """A configuration with all its options, whatever the model and the task.

    The generation length belongs to the task and is left out. Exact cache plans count as one, and
    so do graphs that were calibrated for a model each. `more` holds what rows may store besides.
    """

    decoder: str
    policy: Strategy
    drafter: Strategy
    acceptor: Strategy
    stop: Strategy | None = None
    block_length: int | None = None
    temperature: float = 0.0
    seed: int = 0
    cache: Strategy = field(default_factory=lambda: Strategy("cache", NONE))
    more: Options = ()

    @classmethod
    def of(cls, decode: Mapping[str, Any], model: str = "", one_cache: bool = True) -> Decoder:
        """Read `DecodeConfig.to_dict()` as a row stores it.

        Args:
            model: the row's model, whose name the name of a graph calibrated for it contains.
            one_cache: count all exact cache plans as one.
        """
        return _identify(json.dumps(decode), model, one_cache)

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        parts = (self.policy, self.drafter, self.acceptor, self.stop, self.cache, self.more)
        return hash((self.decoder, self.block_length, self.temperature, self.seed, *parts))

    @property
    def depth(self) -> int:
        """How many states are guessed ahead; a drafter without a depth guesses one."""
        depth = self.drafter.get("depth")
        return int(self.drafter.name != NONE if depth is None else depth)

    @property
    def branches(self) -> int | None:
        """The number of branches that are compared, None for a decoder that compares none.

        With one branch there is nothing to choose from, and yet it is that method.
        """
        return self.drafter.get("k")

    @cached_property
    def drafts(self) -> bool:
        """Whether anything is guessed ahead of the policy's own step."""
        return self.depth > 0 or self.branches is not None

    @cached_property
    def plain(self) -> bool:
        """Whether the policy runs alone, without drafts and stop rule."""
        return not self.drafts and self.stop is None

    @cached_property
    def greedy(self) -> bool:
        """Whether this is the reference of all papers: one token per step and nothing else."""
        return self.plain and self.policy_kind == GREEDY

    @property
    def policy_kind(self) -> str:
        """The policy's name, or "greedy" or "autoregressive"."""
        return kind_of_policy(self.policy, self.block_length)

    @cached_property
    def family(self) -> Family:
        """What this decoder shares a line with."""
        stop = self.stop.name if self.stop else ""
        drafter = self.drafter.name if self.drafts else NONE
        eager = bool(self.drafter.get("eager"))
        return family_of(
            self.decoder, self.policy_kind, drafter, self.acceptor.name, eager=eager, stop=stop
        )

    @property
    def context(self) -> tuple:
        """What a reference must share: block length, temperature, seed and cache."""
        return self.block_length, self.temperature, self.seed, self.cache

    @property
    def steps(self) -> tuple:
        """What it is, whatever name it was asked for by: two decoders with the same value take the
        same steps.
        """
        drafts = (self.drafter, self.acceptor) if self.drafts else ()
        return self.family, self.policy, drafts, self.stop, self.context, self.more

    @property
    def models(self) -> tuple[str, ...]:
        """The second trained models that the decoder needs."""
        return tuple(p.second_model for p in (self.policy, self.drafter) if p.second_model)

    @property
    def _facts(self) -> tuple:
        """What the catalog knows about the parts. Without anything added a policy is itself, by
        whatever decoder it was asked for.
        """
        parts = [part for part in (self.policy, self.drafter, self.acceptor, self.stop) if part]
        method = self.policy.name if self.plain else self.decoder
        return (catalog.method(method), *(catalog.strategy(p.kind, p.name) for p in parts))

    @property
    def fidelity(self) -> str:
        """`reconstructed` where a rule is not published and this is our reading of it."""
        read = any(part.reconstructed for part in self._facts)
        return catalog.RECONSTRUCTED if read else catalog.EXACT_RULE

    @property
    def notes(self) -> tuple[str, ...]:
        """One sentence for everything in it that is reconstructed or adapted."""
        return tuple(part.note for part in self._facts if part.note)


def kind_of_policy(policy: Strategy, block_length: int | None) -> str:
    """A policy's name, or what it is in a special setting: "greedy" or "autoregressive"."""
    if policy.name == "top_k" and policy.get("k") == 1:
        return GREEDY
    if policy.name == "left_to_right" and policy.get("k") == block_length == 1:
        return AUTOREGRESSIVE
    return policy.name


def family_of(
    decoder: str, policy: str, drafter: str, acceptor: str, eager: bool = False, stop: str = ""
) -> Family:
    """The family of a decoder; drafter "none" makes it its policy, by whatever name it was asked
    for. PSD's chain on greedy is Spiffy's.
    """
    if drafter == NONE:
        return Family(policy, decoder if stop == decoder else "", stop=stop)
    chain = decoder == "psd" and policy == GREEDY and drafter == "chain"
    return Family(policy, "spiffy" if chain else decoder, drafter, acceptor, eager, stop)


def frozen_options(options: Mapping[str, Any]) -> Options:
    """Options as a hashable value, in alphabetical order."""
    return tuple((key, _frozen(options[key])) for key in sorted(options))


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return frozen_options(value)
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


@lru_cache(maxsize=65536)
def _identify(decode: str, model: str, one_cache: bool) -> Decoder:
    found = json.loads(decode)
    drafter = found["builder"]
    if "digest" in drafter and model:  # a graph calibrated for this model, under a common name
        graph = str(drafter["graph"]).replace(model, "{model}")
        drafter = {**drafter, "graph": graph, "digest": None}
    cache = Strategy.of("cache", found.get("cache") or {"name": NONE})
    if one_cache and cache.name in EXACT_CACHES:
        cache = Strategy("cache", EXACT)
    stop = found.get("stop")
    return Decoder(
        found["decoder"],
        Strategy.of("policy", found["policy"]),
        Strategy.of("drafter", drafter),
        Strategy.of("acceptor", found["acceptor"]),
        Strategy.of("stop", stop) if stop else None,
        **{key: found[key] for key in RUN if key in found},
        cache=cache,
        more=frozen_options({key: found[key] for key in found if key not in APART}),
    )
