"""Decides what is computed once per frame, as the tables and figures of a notebook share one."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import wraps
from typing import TypeVar

import pandas as pd

Value = TypeVar("Value")


def per_frame(make: Callable[[pd.DataFrame], Value]) -> Callable[[pd.DataFrame], Value]:
    """Let `make` be called once for a frame, which must not be changed afterwards, and forget the
    value with the frame.

    The value must not hold the frame itself.
    """
    kept: dict[int, tuple[weakref.ref, Value]] = {}

    @wraps(make)
    def get(frame: pd.DataFrame) -> Value:
        at = id(frame)
        known = kept.get(at)
        if known is None or known[0]() is not frame:
            known = kept[at] = weakref.ref(frame, lambda _: kept.pop(at, None)), make(frame)
        return known[1]

    return get
