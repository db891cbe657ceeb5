"""How code tasks score: the sandbox's verdict as a Score."""

from __future__ import annotations

from psd_lab.sandbox import Limits, Tests, Verdict, check
from psd_lab.tasks.base import Example, Score

# Embedded functions are a few lines long.
LIMITS = Limits(cpu=2, wall=10.0, memory=512 * 1024**2)
NEEDS = {"tests": "a list of at least one text"}
_RAISING = ("candidate_raised", "test_raised", "load_error", "sandbox_denied")


def score(completion: str, code: str, tests: Tests, limits: Limits = LIMITS) -> Score:
    """Judge `code`, the program that a completion makes, with its tests.

    `correct` is None when the sandbox failed.
    """
    if not completion.strip():
        return Score(False, None, "no answer")
    verdict = check(code, tests, limits)
    return Score(
        verdict.correct, completion, reason_of(verdict), details={"sandbox": verdict.backend}
    )


def reason_of(verdict: Verdict) -> str:
    """Shorten a verdict to the reason of a row.

    It is ok, wrong, timeout, or error with the exception's name or the sandbox's words.
    """
    kind, _, detail = verdict.reason.partition(": ")
    if verdict.status == "infra":
        return f"infra: {verdict.reason}"
    if verdict.status in ("pass", "timeout"):
        return {"pass": "ok"}.get(verdict.status, verdict.status)
    if kind in _RAISING:
        name = detail.partition(": ")[0]
        return (
            "wrong"
            if name == "AssertionError"
            else f"error: {name}" + (" (sandbox_denied)" if kind == "sandbox_denied" else "")
        )
    return "wrong" if kind == "assert" else f"error: {verdict.reason}"


def _tests(example: Example) -> Tests:
    return Tests("\n".join(example.meta["tests"]))


def judge_body(completion: str, example: Example) -> Score:
    """Judge a function body: prompt (signature, docstring) and completion are one program."""
    return score(completion, example.prompt + completion, _tests(example))


def judge_function(completion: str, example: Example) -> Score:
    """Judge a whole function on its own; the prompt is not part of the program."""
    return score(completion, completion, _tests(example))
