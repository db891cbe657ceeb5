"""How decoders differ: by the strategies that make them up, as all of them run in the same loop."""

from __future__ import annotations

import pandas as pd

from psd_lab.report import catalog
from psd_lab.report.identity import Decoder
from psd_lab.report.results import Results
from psd_lab.report.table import Table
from psd_lab.report.tables.wording import RULES, rule

CAPTION = (
    "{title} One loop runs them all: the policy picks what a step commits, a drafter guesses later"
    " states, the acceptor says how far to walk over them, a stop rule may end a block early."
    " {rules}."
)


def table(results: Results, id: str, title: str) -> Table:
    """One line per method of the rows: policy, drafts, acceptance and stop rule, what it
    guarantees, on which models it ran.
    """
    records = []
    for family, rows in results.frame.groupby("family", sort=False):
        one, models = rows.loc[rows.depth.idxmax()], list(rows.model.unique())
        records.append(
            {
                "method": str(family),
                "decoder": one.decoder,
                **_strategies(one.setting),
                "rule": rule(one),
                "second model": ", ".join(one.setting.models) or "-",
                "settings": ", ".join(dict.fromkeys(p for p in rows.point if p)) or "-",
                "models": "all" if models == results.models else ", ".join(models),
                "source": catalog.method(one.decoder).source,
            }
        )
    data = pd.DataFrame(records)
    caption = CAPTION.format(title=title, rules=RULES)
    return Table(id, caption, data, data, notes=results.notes)


def _strategies(decoder: Decoder) -> dict[str, str]:
    """The name of each strategy; without drafts there is nothing to accept."""
    drafts = decoder.drafter.name != "none"
    return {
        "policy": decoder.policy.name,
        "drafts": decoder.drafter.name if drafts else "-",
        "acceptor": decoder.acceptor.name if drafts else "-",
        "stop rule": decoder.stop.name if decoder.stop else "-",
    }
