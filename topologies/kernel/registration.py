"""The operation that exported programs hold, registered as soon as PyTorch is there.

Importing ``topologies`` does not import PyTorch, which takes seconds and is not always wanted. A program exported from
a model is found again by any process that has imported both, in whatever order.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any


def register() -> None:
    """Register the operation now, or right after PyTorch is imported."""
    if "torch" in sys.modules:
        import topologies.kernel.library  # noqa: F401
    else:
        sys.meta_path.insert(0, _AfterTorch())


class _AfterTorch(MetaPathFinder):
    """Finds nothing but PyTorch, where all others find it, and has the operation registered when it is loaded.

    To be found is not to be loaded: programs look whether PyTorch is there long before they import it.
    """

    is_asking = False

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != "torch" or self.is_asking:
            return None
        self.is_asking = True
        try:
            spec = find_spec(name)
        finally:
            self.is_asking = False
        if spec is not None and spec.loader is not None:
            spec.loader = _ThenRegister(spec.loader, self)
        return spec


class _ThenRegister(Loader):
    """Loads as the given loader does, then registers the operation; from now on nobody has to look for PyTorch."""

    def __init__(self, loader: Loader, finder: MetaPathFinder) -> None:
        self.loader, self.finder = loader, finder

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.loader.exec_module(module)
        if self.finder in sys.meta_path:
            sys.meta_path.remove(self.finder)
        register()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)
