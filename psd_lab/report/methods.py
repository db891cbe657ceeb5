"""Decides how decoders are told apart: by the plugs that make them up, as every one of them runs in
the same loop.
"""

from __future__ import annotations

import pandas as pd

from psd_lab.report import rows as rows_of
from psd_lab.report import tables
from psd_lab.report.table import Table
from psd_lib import DECODERS


def table(frame: pd.DataFrame, id: str, title: str) -> Table:
    """One line per method of the rows: policy, drafts, acceptance and stop rule, what it
    guarantees, on which models it ran.
    """
    every = rows_of.models(frame)
    records = []
    for family, part in frame.groupby("family", sort=False):
        one, ran = part.loc[part.depth.idxmax()], rows_of.models(part)
        records.append(
            {
                "method": family,
                "decoder": one.decoder,
                **_plugs(one["decode"]),
                "rule": tables.rule(one),
                "second model": _second(one["decode"]),
                "settings": ", ".join(dict.fromkeys(point for point in part.point if point)) or "-",
                "models": "all" if ran == every else ", ".join(ran),
                "source": _source(one["decoder"]),
            }
        )
    data = pd.DataFrame(records)
    caption = (
        f"{title} One loop runs them all: the policy picks what a step commits, a builder guesses"
        " later states, the acceptor says how far to walk over them, a stop rule may end a block"
        f" early. {tables.RULES}."
    )
    return Table(id, caption, data, data, notes=rows_of.notes(frame))


def _plugs(decode: dict) -> dict[str, str]:
    """The name of each plug; without drafts there is nothing to accept."""
    named = {
        kind: (decode.get(kind) or {}).get("name", "")
        for kind in ("policy", "builder", "acceptor", "stop")
    }
    if named["builder"] == "none":
        named["builder"] = named["acceptor"] = ""
    return {
        {"builder": "drafts", "stop": "stop rule"}.get(kind, kind): name or "-"
        for kind, name in named.items()
    }


def _second(decode: dict) -> str:
    found = [
        str(decode[kind][role])
        for kind in ("policy", "builder")
        for role in ("judge", "draft")
        if decode[kind].get(role)
    ]
    return ", ".join(found) or "-"


def _source(decoder: str) -> str:
    return DECODERS[decoder].source if decoder in DECODERS else "registered by the user"
