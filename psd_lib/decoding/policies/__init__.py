"""Transfer policies, the spatial axis: which masked positions does one reference step commit?

A policy is a pure function of the window's scores and mask, vectorised over all leading dimensions;
what it must remember from step to step lives in the object that its `begin` returns
(`psd_lib.decoding.binding`). Every policy keeps three promises (tested for each one): it commits
masked positions only, at least one of them wherever any is left, and breaks ties by the lowest
position. To add one here, write a frozen dataclass in a file of this folder and list it in
`POLICIES`; to add one in a notebook, decorate it with `psd_lib.decoding.register`.
"""

from psd_lib.decoding.policies.base import ByConfidence, Policy, best
from psd_lib.decoding.policies.bounds import EntropyBound, Factor
from psd_lib.decoding.policies.history import Credit, Klass
from psd_lib.decoding.policies.judged import Judged
from psd_lib.decoding.policies.local import Hierarchy, LocalLeap
from psd_lib.decoding.policies.ranked import LeftToRight, TopK
from psd_lib.decoding.policies.sdar import SdarDynamic, SdarSequential, SdarStatic
from psd_lib.decoding.policies.thresholds import Entropy, Margin, Threshold
from psd_lib.decoding.policies.wino import Wino

POLICIES: dict[str, type] = {
    policy.name: policy
    for policy in (
        TopK,
        Threshold,
        LocalLeap,
        LeftToRight,
        Factor,
        EntropyBound,
        Margin,
        Entropy,
        SdarDynamic,
        SdarStatic,
        SdarSequential,
        Hierarchy,
        Klass,
        Credit,
        Wino,
        Judged,
    )
}

__all__ = [
    "POLICIES",
    "ByConfidence",
    "Credit",
    "Entropy",
    "EntropyBound",
    "Factor",
    "Hierarchy",
    "Judged",
    "Klass",
    "LeftToRight",
    "LocalLeap",
    "Margin",
    "Policy",
    "SdarDynamic",
    "SdarSequential",
    "SdarStatic",
    "Threshold",
    "TopK",
    "Wino",
    "best",
]
