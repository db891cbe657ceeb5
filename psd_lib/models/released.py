"""Released checkpoints that the families are made for, as data.

Nothing was downloaded to write this list: sizes follow from the published shapes, and revisions are
those that published material names. Where no revision is known there is no pin, and the Hub's
`main` is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass

from psd_lib.models.families import FAMILIES

UNKNOWN = "not seen; read the model card"


@dataclass(frozen=True)
class Released:
    """One checkpoint.

    `family` is a key of `FAMILIES`, `parameters` are billions, `disk` is gigabytes (1e9 bytes) to
    download, `revision` the pinned commit (None: no pin, `main`), `licence` as last seen.
    """

    repo: str
    family: str
    parameters: float
    disk: float
    revision: str | None
    licence: str

    @property
    def memory(self) -> float:
        """Return the gigabytes (1e9 bytes) of weights in bfloat16."""
        return 2 * self.parameters


_LLADA = "MIT (was Apache-2.0 before)"
_PANGU = (
    "OPENPANGU MODEL LICENSE v1.0: not usable within the EU; attribution and trademark notice on"
    " redistribution"
)
_SDAR = "Apache-2.0"
SUPPORTED: dict[str, Released] = {
    entry.repo: entry
    for entry in (
        Released("GSAI-ML/LLaDA-8B-Base", "llada", 8.016, 16.03, "ce71e3c", "MIT (second-hand)"),
        Released("GSAI-ML/LLaDA-8B-Instruct", "llada", 8.016, 16.03, "6059b30", _LLADA),
        Released("GSAI-ML/LLaDA-1.5", "llada", 8.016, 16.03, None, UNKNOWN),
        Released("Dream-org/Dream-v0-Base-7B", "Dream", 7.616, 15.23, None, UNKNOWN),
        Released(
            "Dream-org/Dream-v0-Instruct-7B",
            "Dream",
            7.616,
            15.23,
            "05334cb9faaf763692dcf9d8737c642be2b2a6ae",
            "Apache-2.0 in the code's headers; " + UNKNOWN,
        ),
        Released("JetLM/SDAR-1.7B-Chat", "sdar", 2.032, 4.06, "553d10a", _SDAR),
        Released("JetLM/SDAR-1.7B-Chat-b8", "sdar", 2.032, 4.06, "61c436a", _SDAR),
        Released("JetLM/SDAR-1.7B-Chat-b32", "sdar", 2.032, 4.06, "2c83c05", _SDAR),
        Released("JetLM/SDAR-4B-Chat", "sdar", 4.411, 8.82, "d27f6b5", _SDAR),
        Released("JetLM/SDAR-4B-Chat-b64", "sdar", 4.411, 8.82, "6d87c0c", _SDAR),
        Released("JetLM/SDAR-8B-Chat", "sdar", 8.191, 16.38, "de54a33", _SDAR),
        Released(
            "openpangu/openPangu-7B-Diffusion-Base", "PanguEmbedded", 8.031, 32.12, None, _PANGU
        ),
        Released(
            "Efficient-Large-Model/Fast_dLLM_v2_7B",
            "Fast_dLLM_Qwen",
            7.616,
            15.23,
            "0858c80",
            "Apache-2.0",
        ),
        Released("inclusionAI/LLaDA-MoE-7B-A1B-Instruct", "llada_moe", 7.36, 14.7, None, UNKNOWN),
        Released("inclusionAI/LLaDA2.1-mini", "llada2_moe", 16.0, 32.0, None, "Apache-2.0"),
    )
}


def table() -> list[dict[str, object]]:
    """Return one record per released checkpoint, for documents."""
    return [
        {
            "repository": entry.repo,
            "family": entry.family,
            "class": FAMILIES[entry.family].architecture,
            "revision": entry.revision[:7] if entry.revision else "not pinned",
            "memory, bfloat16": f"{entry.memory:.1f} GB",
            "licence": entry.licence,
        }
        for entry in SUPPORTED.values()
    ]
