"""Judge generated programs that may be hostile: two processes, one verdict, no trust.

The *judge* holds the tests; the *candidate* runs the code; only plain data crosses between them,
and the kernel confines both. Programs can import the standard library; installed packages such as
numpy only when they are named (`packages` of `check`), and in the candidate alone.

    >>> from psd_lab.sandbox import Tests, check
    >>> check("def f(x): return x + 1", Tests("assert f(1) == 2")).status      # doctest: +SKIP
    'pass'
"""

from psd_lab.sandbox.checking import check, check_many
from psd_lab.sandbox.errors import SandboxUnavailable, UnsafeExecution
from psd_lab.sandbox.probing import Probe, probe
from psd_lab.sandbox.verdict import Limits, Tests, Verdict

__all__ = [
    "Limits",
    "Probe",
    "SandboxUnavailable",
    "Tests",
    "UnsafeExecution",
    "Verdict",
    "check",
    "check_many",
    "probe",
]
