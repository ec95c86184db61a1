"""The comparison of coarseness: that its film plays, is measured, and costs less when it is coarser."""

from __future__ import annotations

import pytest

pytest.importorskip("stripeengine._stripeengine", reason="the C engine is not built: make setup")

from benchmarks import damage


def test_a_film_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(damage, "PICTURES", 45)
    (fine, good), (coarse, worse) = (damage.play("jpeg", coarser) for coarser in (0, 12))
    assert coarse < 0.9 * fine
    assert 15 < worse < good + 3


def test_fills_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(damage, "REST_S", 0.3)
    if damage.has_h264():
        blinks, cleared = damage.blink_and_clear()
        assert blinks == 80 and cleared <= 48 + 16 * 32
