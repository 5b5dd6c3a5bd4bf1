"""The examples in docstrings, run as they stand there."""

from __future__ import annotations

import doctest
import importlib
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import evo
from evaluators.reconstruction import fit
from tests.test_readme import mixer
from topologies import random_regular

HOME = Path(__file__).parents[1]
MODULES = sorted(
    ".".join(path.relative_to(HOME).with_suffix("").parts).removesuffix(".__init__")
    for floor in ("topologies", "evaluators", "cluster", "evo")
    for path in (HOME / floor).rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


def names() -> dict[str, Any]:
    """What examples speak of: models, a recipe, and what is slow, made quick."""
    return {
        "torch": torch,
        "model": mixer(),
        "other": mixer(),
        "trained": mixer(),
        "fit": partial(fit, steps=20),
        "settings": evo.Settings(),
        "search": lambda *given, **named: None,
    }


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_work(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("evaluators.reconstruction.fit", partial(fit, steps=20))
    random_regular(48, 5, 12, 3, 4).save("champion.safetensors")
    tests = doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(module))
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for test in tests:
        test.globs |= {key: value for key, value in names().items() if key not in test.globs or key == "fit"}
        if test.examples:
            runner.run(test)
    assert runner.summarize().failed == 0 < runner.tries
