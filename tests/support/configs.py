"""Configurations under which the tiny models have something to decide."""

from dataclasses import replace

import psd_lib
from psd_lib import DECODERS, POLICIES, DecodeConfig
from support.models import SECOND_MODELS

GEN = 29  # not a multiple of the block length 8: the last block is shorter
# The four policies of the PSD paper.
PAPER_POLICIES = {
    "top_k": {"k": 1},
    "confidence": {"threshold": 0.6},
    "local_leap": {"threshold": 0.7, "relaxed_threshold": 0.4, "radius": 2},
    "left_to_right": {"k": 2},
}
# Other policies run with their defaults.
POLICY_OPTIONS = {
    **PAPER_POLICIES,
    "margin": {"threshold": 0.5},
    "entropy": {"most": 1.0},
    "hierarchy": {"threshold": 0.7},
    "sdar_dynamic": {"threshold": 0.6, "steps": 5},
    "sdar_static": {"steps": 3},
    "sdar_sequential": {"steps": 3},
}
# The policies that a later policy step may be guessed for: pure functions of the scores.
PURE_POLICIES = [name for name, policy in POLICIES.items() if not policy.no_drafts]


def config(policy="top_k", **options):
    """PSD with a policy, three drafts and replay, unless `options` choose otherwise."""
    chosen = {**POLICY_OPTIONS.get(policy, {}), "gen_length": GEN, **options}
    return DecodeConfig.make("psd", policy=policy, **chosen)


def with_drafter(settings, drafter):
    """The same configuration with drafts from elsewhere."""
    return replace(settings, drafter=drafter)


def second_models(decoder):
    """The options without which a decoder cannot run: its second model, where it has one."""
    preset = DECODERS[decoder]
    return {
        name: make()
        for part in (preset.policy, preset.drafter)
        for name, make in SECOND_MODELS.items()
        if name in getattr(part, "__dataclass_fields__", {})
    }


def run(model, prompts, config, **options):
    """Decode in batches of four, so that a batch holds sequences of several lengths."""
    return psd_lib.generate(model, prompts, config=config, batch_size=4, **options)
