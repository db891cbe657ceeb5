"""The kernel that notebooks run in: this very interpreter, whatever Jupyter knows as `python3`."""

from __future__ import annotations

import sys

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from traitlets import default

NAME = "python3"


class _OwnSpecs(KernelSpecManager):
    """Knows one kernel. JUPYTER_PATH may offer another `python3`, without ipykernel or this
    package.
    """

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Return how to start ipykernel with this interpreter, under any name."""
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=command, display_name="Python 3", language="python")


class OwnKernel(AsyncKernelManager):
    """Starts kernels of this interpreter; for `kernel_manager_class` of nbclient."""

    @default("kernel_spec_manager")
    def _kernel_spec_manager_default(self) -> KernelSpecManager:
        return _OwnSpecs()
