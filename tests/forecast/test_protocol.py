from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ems.forecast import boosting, learn
from ems.forecast.experience import Experience
from ems.forecast.geometry import sky_over
from ems.forecast.photovoltaic import SeriesWeather, _Plant
from ems.forecast.protocol import forecast_many
from ems.slots import Slots

Q = (0.1, 0.5, 0.9)
H = 48


@pytest.fixture(autouse=True)
def _few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked here does not depend on how many trees there are, and the machine is shared."""
    monkeypatch.setattr(boosting, "TREES", 25)
    monkeypatch.setattr(boosting, "OUTER_TREES", 15)
    monkeypatch.setattr(boosting, "MOST_ROWS", 6000)
    monkeypatch.setattr(learn, "LINE_ROWS", 1200)


def series(days: float, *, seed: int = 0, start: str = "2026-01-05", level: float = 5.0) -> pd.Series:
    """An office: up on working days from 8 to 18, with noise."""
    index = pd.date_range(start, periods=int(days * 24), freq="1h", tz="UTC")
    open_ = (index.dayofweek < 5) & (index.hour >= 8) & (index.hour < 18)
    rng = np.random.default_rng(seed)
    return pd.Series(level * (1 + 2.0 * open_ + 0.1 * rng.standard_normal(len(index))), index)


def asked(y: pd.Series, name: str = "a", kind: str = "load", **weather: pd.Series) -> tuple[dict, dict]:
    history = pd.DataFrame({"y": y})
    last = y.index.max() if len(y) else pd.Timestamp("2026-03-01", tz="UTC")
    index = pd.date_range(last + pd.Timedelta("1h"), periods=H, freq="1h")
    future = pd.DataFrame(index=index)
    for column, values in weather.items():
        history[column] = values.reindex(history.index)
        future[column] = values.reindex(index)
    history.attrs.update(series_id=name, kind=kind, tz="Europe/Paris", step_min=60)
    return {name: history}, {name: future}


def made(y: pd.Series, **more: object) -> pd.DataFrame:
    histories, futures = asked(y, **more)  # type: ignore[arg-type]
    return forecast_many(histories, futures, H, Q, Experience())["a"]


def sound(frame: pd.DataFrame, y: pd.Series) -> None:
    values = frame[list(Q)].to_numpy()
    assert values.shape == (H, 3)
    assert np.isfinite(values).all()
    assert (np.diff(values, axis=1) >= -1e-9).all()
    finite = y[np.isfinite(y)]
    highest = finite.max() if len(finite) else 1.0
    assert values.max() <= max(1.5 * highest, 0) + 1e-6
    assert frame.attrs["model"]


def test_a_plain_week_is_known_and_the_interval_holds() -> None:
    y = series(100)
    frame = made(y)
    truth = series(102)[-H:]
    assert np.abs(frame[0.5].to_numpy() - truth.to_numpy()).mean() < 0.12 * truth.mean()
    inside = (truth.to_numpy() >= frame[0.1].to_numpy()) & (truth.to_numpy() <= frame[0.9].to_numpy())
    assert 0.55 <= inside.mean() <= 1
    assert frame.attrs["flags"] == []


def test_a_holiday_is_lived_like_a_sunday() -> None:
    y = series(117, start="2026-01-05")  # up to Friday 1 May, a public holiday
    free = ["2026-04-06"]
    y[np.isin(y.index.strftime("%Y-%m-%d"), free)] = 5.0
    frame = made(y[: pd.Timestamp("2026-04-30 21:00", tz="UTC")])
    noon = frame.loc["2026-05-01 12:00", 0.5]
    assert noon < 10  # 15 on a working Friday


def test_two_calls_say_the_same_and_names_mean_nothing() -> None:
    y = series(60)
    first = made(y)
    histories, futures = asked(y, name="a")
    histories["a"].attrs["series_id"] = "something else"
    pd.testing.assert_frame_equal(first, forecast_many(histories, futures, H, Q, Experience())["a"])


def test_what_was_learnt_serves_the_next_day() -> None:
    experience = Experience()
    y = series(70)
    forecast_many(*asked(y), H, Q, experience)
    (learnt,) = experience.learnt.values()
    forecast_many(*asked(series(71)), H, Q, experience)
    assert list(experience.learnt.values()) == [learnt]
    forecast_many(*asked(series(80)), H, Q, experience)
    assert next(iter(experience.learnt.values())) is not learnt


def test_without_the_library_the_trees_are_missing_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boosting, "library", lambda: "boosted trees are missing: no libgomp")
    y = series(60)
    frame = made(y)
    sound(frame, y)
    assert "boosted trees are missing: no libgomp" in frame.attrs["model"]
    truth = series(62)[-H:]
    assert np.abs(frame[0.5].to_numpy() - truth.to_numpy()).mean() < 0.2 * truth.mean()


def test_a_meter_without_history_borrows_the_shape_of_its_like() -> None:
    histories, futures = {}, {}
    for k in range(3):
        h, f = asked(series(60, seed=k, level=5.0 + k), name=f"m{k}")
        histories |= h
        futures |= f
    young = series(60, seed=9)
    young[: -2 * 24] = np.nan
    h, f = asked(young, name="young")
    frame = forecast_many(histories | h, futures | f, H, Q, Experience())["young"]
    sound(frame, young)
    hour = frame.index.hour
    # 60 days from a Monday end on a Thursday: tomorrow is a working day.
    day = frame[:24]
    assert day[hour[:24] == 12][0.5].iloc[0] > 1.5 * day[hour[:24] == 2][0.5].iloc[0]


CLOCK_CHANGES = ("2026-01-24", "2025-08-27")  # sixty days on
HARMS = ("gaps", "constant", "zero", "negative spikes", "twice and unsorted", "one day", "empty", "exchange", "jump",
         "all missing", "no weather", "frozen")  # fmt: skip


@pytest.mark.parametrize(
    ("harm", "start", "kind"),
    [(harm, CLOCK_CHANGES[k % 2], ("load", "heat")[k // 2 % 2]) for k, harm in enumerate(HARMS)],
)
def test_whatever_comes_quantiles_are_finite_in_order_and_plausible(harm: str, start: str, kind: str) -> None:
    y = series(63, start=start)
    more: dict[str, pd.Series] = {}
    flagged = True
    match harm:
        case "gaps":
            y[100:300] = np.nan
            flagged = False
        case "constant":
            y[:] = 3.0
            flagged = False
        case "zero":
            y[:] = 0.0
            flagged = False
        case "negative spikes":
            y.iloc[[50, 400, 900]] = -500.0
        case "twice and unsorted":
            y = pd.concat([y, y[200:210]]).sample(frac=1, random_state=1)
        case "one day":
            y, flagged = y[-24:], False
        case "empty":
            y, flagged = y[:0], True
        case "exchange":
            y[-5 * 24 :] *= 0.1
        case "jump":
            y[-10 * 24 :] *= 10
        case "all missing":
            y[:] = np.nan
        case "no weather":
            longer = pd.date_range(y.index[0], periods=len(y) + H, freq="1h")
            more = {"temp_air_c": pd.Series(np.nan, longer)}
        case "frozen":
            y[-4 * 24 :] = y.iloc[-4 * 24]
    histories, futures = asked(y, kind=kind, **more)
    frame = forecast_many(histories, futures, H, Q, Experience())["a"]
    sound(frame, y)
    assert not flagged or frame.attrs["flags"]


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**31), st.integers(2, 40), st.sampled_from(CLOCK_CHANGES))
def test_any_mixture_of_values_is_survived(seed: int, days: int, start: str) -> None:
    """Values of any size, gaps, spikes and steps, in any order of stamps."""
    rng = np.random.default_rng(seed)
    y = series(days, start=start, seed=seed)
    y *= 10.0 ** rng.uniform(-3, 4)
    for _ in range(int(rng.integers(0, 5))):
        at = int(rng.integers(0, len(y)))
        y.iloc[at : at + int(rng.integers(1, 60))] *= rng.choice([np.nan, 0.0, -3.0, 20.0])
    sound(made(y.sample(frac=1, random_state=seed % 1000)), y)


def test_what_is_wrong_with_a_question_is_said() -> None:
    histories, futures = asked(series(30))
    with pytest.raises(ValueError, match="give some between"):
        forecast_many(histories, futures, H, (0.0, 0.5), Experience())
    with pytest.raises(ValueError, match="it is load, heat or pv"):
        made(series(30), kind="gas")


class TestSun:
    @staticmethod
    def plant(days: int) -> tuple[pd.Series, pd.Series]:
        """A level roof of 10 kW at 43.3 N, 5.4 E under a changing sky, and the irradiance over it."""
        import pvlib

        index = pd.date_range("2026-02-01", periods=days * 24 + H, freq="1h", tz="UTC")
        place = pvlib.location.Location(43.3, 5.4)
        clear = place.get_clearsky(index + pd.Timedelta("30min"), model="haurwitz")["ghi"].to_numpy()
        rng = np.random.default_rng(4)
        cloud = np.repeat(rng.choice([0.25, 0.7, 1.0], len(index) // 24 + 1), 24)[: len(index)]
        ghi = pd.Series(clear * cloud, index)
        return 0.0085 * ghi, ghi

    def test_a_sunny_and_a_dull_tomorrow_differ_as_the_weather_says(self) -> None:
        power, ghi = self.plant(60)
        y = power[:-H]
        known = ghi.copy()
        frames = {}
        for name, share in (("dull", 0.25), ("bright", 1.0)):
            clear = ghi[-3 * H : -2 * H].to_numpy()
            known.iloc[-H:] = clear / max(clear.max(), 1) * 600 * share
            histories, futures = asked(y, kind="pv", ghi_wm2=known)
            histories["a"].attrs["capacity_kw"] = float(y.max())
            frame = forecast_many(histories, futures, H, Q, Experience())["a"]
            sound(frame, y)
            frames[name] = frame
        assert frames["bright"][0.5].sum() > 2 * frames["dull"][0.5].sum()
        night = frames["bright"].index.hour.isin([22, 23, 0, 1, 2])
        assert (frames["bright"][night] == 0).all().all()

    def test_a_steady_error_is_told_from_cloud(self) -> None:
        """Three days without a cloud; from noon of the last an eighth more, or less, is expected than comes."""
        place = (43.3, 5.4)
        slots = Slots(datetime(2026, 6, 1, tzinfo=UTC), 4 * 24, 60)
        clear = sky_over(slots, place).ghi
        plant = _Plant(np.zeros(60), SeriesWeather({"ghi_wm2": clear}, 60), slots, place, 10.0, 0)
        for error in (-0.125, 0.0, 0.125):
            course = plant.course(np.array([60]), 36, np.full((1, 36), error))[0]
            mean_1h, _, _, jumps_1h, _, highest, lowest, opening, measured = course[1]
            assert mean_1h == pytest.approx(1 + error)
            assert jumps_1h == pytest.approx(0, abs=1e-9)
            assert highest == pytest.approx(1 + error)
            assert lowest == pytest.approx(1 + error)
            assert opening == pytest.approx(np.log(1 + error) * np.exp(-2 / 8))
            assert measured == pytest.approx(1)

    @pytest.mark.parametrize("days", [0, 1, 10])
    def test_little_history_and_no_weather_still_give_a_day(self, days: int) -> None:
        power, _ = self.plant(days)
        y = power[: days * 24]
        histories, futures = asked(y, kind="pv")
        histories["a"].attrs["capacity_kw"] = 10.0
        frame = forecast_many(histories, futures, H, Q, Experience())["a"]
        values = frame.to_numpy()
        assert np.isfinite(values).all()
        assert (np.diff(values, axis=1) >= 0).all()
        assert values.max() <= 15
