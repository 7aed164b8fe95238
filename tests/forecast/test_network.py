from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from ems.forecast import boosting, learn, network
from ems.forecast.calendar import calendar
from ems.forecast.experience import Experience, dump, load
from ems.forecast.features import Rows
from ems.forecast.models import Past
from ems.slots import Slots

QUANTILES = (0.1, 0.5, 0.9)


def known(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features of which the first bends and the second widens what comes; the third says nothing."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (count, 3)).astype(np.float32)
    spread = 0.1 + 0.4 * (x[:, 1] > 0)
    return x, np.abs(x[:, 0]) + spread * rng.standard_normal(count)


def test_what_bends_and_widens_is_learnt_in_quantiles() -> None:
    x, y = known(40_000)
    net = network.grown(x, y, QUANTILES, np.ones(len(y)))
    asked, came = known(4000, seed=1)
    low, median, high = net.says(asked)
    assert np.abs(median - np.abs(asked[:, 0])).mean() < 0.05
    wide = asked[:, 1] > 0
    # By hand: 1.28 standard deviations to either side, of 0.5 and of 0.1.
    assert (high - low)[wide].mean() == pytest.approx(1.28, rel=0.15)
    assert (high - low)[~wide].mean() == pytest.approx(0.256, rel=0.35)
    assert ((came >= low) & (came <= high)).mean() == pytest.approx(0.8, abs=0.04)


def test_the_same_is_learnt_twice() -> None:
    x, y = known(1000)
    first, again = (network.grown(x, y, QUANTILES, np.ones(len(y))).says(x) for _ in range(2))
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("count", [0, 1, 30])
def test_little_or_nothing_known_is_survived(count: int) -> None:
    x, y = known(count)
    said = network.grown(x, y, QUANTILES, np.ones(count)).says(known(50, seed=1)[0])
    assert said.shape == (3, 50)
    assert np.isfinite(said).all()
    assert (np.diff(said, axis=0) >= 0).all()


def test_what_is_not_known_or_was_never_seen_stays_near_what_was() -> None:
    x, y = known(4000)
    x[:, 2] = np.nan
    net = network.grown(x, y, QUANTILES, np.ones(len(y)))
    strange = np.array([[np.nan, np.nan, 5.0], [1e6, -1e6, np.nan], [0.5, 0.5, 0.5]], np.float32)
    said = net.says(strange)
    assert np.isfinite(said).all()
    assert np.abs(said).max() < 4 * np.abs(y).max()


@pytest.mark.parametrize("always", [0.0, 7.3, 1e4])
def test_what_never_changed_is_not_heard_when_it_first_does(always: float) -> None:
    """A network that never saw a holiday says of the first one what it would of any day."""
    x, y = known(4000)
    x[:, 2] = always
    net = network.grown(x, y, QUANTILES, np.ones(len(y)))
    first = x[:50].copy()
    first[:, 2] = always + 1
    np.testing.assert_array_equal(net.says(first), net.says(x[:50]))


def test_who_counts_more_is_heard_more() -> None:
    x = np.zeros((40_000, 1), np.float32)
    y = np.repeat([0.0, 1.0], 20_000) + 0.01 * np.random.default_rng(0).standard_normal(40_000)
    said = [network.grown(x, y, (0.5,), np.repeat(c, 20_000)).says(x[:1])[0, 0] for c in ([9.0, 1.0], [1.0, 9.0])]
    assert said == pytest.approx([0.0, 1.0], abs=0.15)


def test_the_wide_network_knows_which_meter_speaks_and_what_its_regression_says() -> None:
    rng = np.random.default_rng(0)
    meters, count = 2, 3000
    names = ("hour", "weekday", "kind", "noise")
    x = np.zeros((meters, count, len(names)), np.float32)
    x[:, :, 3] = rng.standard_normal((meters, count))
    level = np.ones((meters, count))
    rows = Rows(x, level, level, 0 * level, np.zeros(0), np.zeros(0), names)
    by_line = 1 + rng.standard_normal((meters, count))
    # All features are alike: one meter is twice above what its regression says, the other as far below.
    truth = by_line + np.array([[2.0], [-2.0]])
    heard = learn._heard(rows, by_line)
    told = network.fit(heard, truth, QUANTILES, level, network.WIDE).expects(heard)[1]
    assert np.abs(told - truth).mean() < 0.2
    told = network.fit(rows, truth, QUANTILES, level, network.WIDE).expects(rows)[1]
    assert np.abs(told - truth).mean() > 1


@pytest.mark.parametrize("meters", [1, 2])
def test_one_meter_alone_needs_no_wide_network_and_nobody_says_that_it_spoke(
    monkeypatch: pytest.MonkeyPatch, meters: int
) -> None:
    monkeypatch.setattr(boosting, "TREES", 5)
    monkeypatch.setattr(boosting, "OUTER_TREES", 5)
    monkeypatch.setattr(boosting, "MOST_ROWS", 2000)
    monkeypatch.setattr(learn, "WIDE_ROWS", 2000)
    known, horizon = 30 * 24, 48
    whole = calendar(Slots(datetime(2026, 1, 5, tzinfo=UTC), known + horizon, 60), "Europe/Paris")
    values = 2 + np.sin(whole.hour / 4)[:known] + 0.3 * np.random.default_rng(0).standard_normal((meters, known))
    past = Past(values, whole, np.full((meters, known + horizon), 2.0))
    learnt = learn.learn(past, horizon)
    assert isinstance(learnt, learn.Learnt)
    assert (learnt.wide is None) == (meters == 1)
    assert (network.NAME_WIDE in learnt.model(0)) == (meters == 2)
    np.testing.assert_allclose(learnt.shares.sum(axis=1), 1)
    experience = Experience()
    experience.keep(("group",), learnt)
    restored = load(dump(experience)).learnt["group",]
    for again, first in zip(learn.expect(restored, past, horizon), learn.expect(learnt, past, horizon), strict=True):  # type: ignore[arg-type]
        np.testing.assert_allclose(again, first, rtol=1e-6)
