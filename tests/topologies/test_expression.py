"""Expressions: what they name, what they refuse, and that they are never evaluated."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import topologies
from topologies import Topology, butterfly, clos, torus
from topologies.expression import is_expression, parse, read, render
from topologies.families import FAMILIES
from topologies.names import resolve


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("clos(32, 8, 9, 8)", clos(32, 8, 9, 8)),
        (" clos( 32,8,\n middle=9, egress=8 ) ", clos(32, 8, 9, 8)),
        ("clos(24, 8, 9, 8, 40)", clos(24, 8, 9, 8, n_out=40)),
        ("butterfly(32, 18, skip=False)", butterfly(32, 18, skip=False)),
        ("butterfly(24, 6, n_out=40)", butterfly(24, 6, n_out=40)),
        ("torus((8, 4), 7)", torus((8, 4), 7)),
        ("torus([8, 4], depth=7, diagonal=True)", torus((8, 4), 7, diagonal=True)),
    ],
)
def test_parse(text: str, expected: Topology) -> None:
    assert is_expression(text)
    assert parse(text) == expected
    assert resolve(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("close(32, 8, 9, 8)", "no family 'close', the nearest is 'clos'"),
        ("Butterfly(32, 5)", "nearest is 'butterfly'"),
        ("paralel_butterfly(32, 2, 5)", "nearest is 'parallel_butterfly'"),
        ("butterfly(32, dept=5)", "butterfly has no parameter 'dept', the nearest is 'depth'"),
        ("butterfly(32)", r"butterfly lacks depth: write it as in butterfly\(32, 20\)"),
        ("clos()", "clos lacks n, ingress, middle, egress"),
        ("butterfly(32, 5, 2, 40)", r"by position \(n, depth, radix\), not 4"),
        ("butterfly(32, 5, n=32)", "n is given twice"),
        ("butterfly(32, 5, skip=1)", "skip is 1: True or False"),
        ("butterfly(n=32, n=32, depth=5)", "n is given twice"),
        ("butterfly(2**5, 5)", r"'2 \*\* 5' is not a literal"),
        ("butterfly(n, 5)", "'n' is not a literal"),
        ("butterfly(*(32, 5))", "not a literal"),
        ("butterfly(**{'n': 32})", "no parameter"),
        ("butterfly(__import__('os').getpid(), 5)", "not a literal"),
        ("topologies.butterfly(32, 5)", "no family 'topologies.butterfly', the nearest is '.*butterfly'"),
        ("(lambda: 1)()", "no family"),
        ("butterfly(32, 5", r"not a family expression, such as butterfly\(32, 20\)"),
        ("butterfly(32, 5) + 1", "not a family expression"),
        ("", "not a family expression"),
        ("butterfly(" + "(" * 5000 + ")" * 5000 + ")", "not a family expression"),
        ("butterfly(" + "9" * 180 + ", 5)", "n is 9"),
    ],
)
def test_refusals_teach(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        parse(text)
    assert "\n" not in str(caught.value)


def test_a_size_beyond_memory_is_a_value_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def dense(n_in: int, n_out: int) -> Topology:
        raise MemoryError

    monkeypatch.setitem(FAMILIES, "dense", replace(FAMILIES["dense"], build=dense))
    with pytest.raises(ValueError, match=r"dense\(900000, 900000\): .* does not fit in memory"):
        parse("dense(900000, 900000)")


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=40) | st.from_regex(r"(clos|torus|dense)\([-\w, ().*'=]{0,20}\)", fullmatch=True))
def test_any_text_parses_or_raises_value_error(text: str) -> None:
    try:
        arguments = read(text)[1]
    except ValueError:
        return
    assert all(isinstance(name, str) for name in arguments)


def test_render_is_canonical() -> None:
    assert render("clos", {"egress": 8, "ingress": 8, "middle": 9, "n": 32, "n_out": None}) == "clos(32, 8, 9, 8)"
    assert render("butterfly", {"n": 24, "depth": 6, "n_out": 40, "skip": False, "radix": 2}) == (
        "butterfly(24, 6, n_out=40, skip=False)"
    )
    assert render(*read("torus([8, 4], depth=7)")) == "torus((8, 4), 7)"


@pytest.mark.parametrize("text", ["champion.safetensors", "runs/x/masks.npz", "clos", "a(1)b", "(1)", "my clos(3).npz"])
def test_file_names_are_not_expressions(text: str) -> None:
    assert not is_expression(text)


def test_resolve_reads_files(tmp_path: Path) -> None:
    topology = clos(8, 2, 3, 2)
    path = topology.save(tmp_path / "champion.safetensors")
    assert resolve(path) == resolve(str(path)) == topology
    np.savez(tmp_path / "masks.NPZ", *topology.masks())  # numpy appends .npz
    assert resolve(tmp_path / "masks.NPZ.npz") == topology


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nowhere.safetensors", "cannot read .*nowhere.safetensors: .*no such file"),
        ("nowhere.npz", "cannot read .*nowhere.npz"),
        ("nowhere" * 99 + ".npz", "cannot read .*too long"),
        ("champion.pt", r"'champion.pt' is a pickle, which is never loaded: in Python, Topology.from_masks takes"),
        (
            "champion.toml",
            r"'champion.toml' is no .safetensors, .npz or .npy file, no run's folder and no family expression",
        ),
        ("butterflies", r"no family expression, such as butterfly\(32, 20\)"),
        ("", "no family expression"),
    ],
)
def test_resolve_says_what_would_do(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        resolve(tmp_path / text if text.startswith("nowhere") else text)


def test_public_names_are_there() -> None:
    promised = {
        "Topology", "load", "butterfly", "clos", "parallel_butterfly", "hypercube", "torus", "low_rank", "dense",
        "bernoulli", "random_regular", "expander", "radix_net", "monarch", "SparseCascade",
    }  # fmt: skip
    assert promised <= set(topologies.__all__)
    assert all(getattr(topologies, name) is not None for name in promised)
    with pytest.raises(AttributeError, match="no attribute 'buterfly'"):
        topologies.buterfly  # noqa: B018


def test_import_stays_light() -> None:
    """``import topologies`` and an expression load neither torch nor scipy."""
    code = (
        "import sys, topologies, topologies.expression as e; e.parse('clos(32, 8, 9, 8)');"
        "print([name for name in ('torch', 'scipy', 'matplotlib', 'networkx') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
