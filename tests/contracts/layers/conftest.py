"""Failures of the contract of layers are explained as those of tests are."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("topologies.testing.layers")
