"""What the rooms behind a substation are really like, from their own measurements.

Two resistances and two capacities, as the planner has them, but each figure free to be a factor away from its design
value. The factors are the most likely ones: a Kalman filter (statsmodels) weighs how well the measured temperature
follows from measured heat and weather, a log-normal prior around 1 how far a building may be from its drawings. What
the measurements do not show stays as designed. What the two nodes leave out (floors that warm for hours) shows in the
figures: they are those with which these two nodes forecast best, not those of a laboratory.

Rooms are taken together by substation, because that is where heat is measured without gaps, and because heat that flows
between neighbouring flats then stays inside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from scipy.linalg import expm
from scipy.optimize import minimize
from statsmodels.tools.numdiff import approx_hess
from statsmodels.tsa.statespace.mlemodel import MLEModel

from ems.assets import Dwelling, Fabric, Substation, WeatherStation, Zone
from ems.assets.zone import SUN_ON_MASS_SHARE, occupied
from ems.district import District
from ems.series import Floats, History
from ems.slots import Slots

FIGURES = (
    "loss_w_per_k_m2",
    "light_wh_per_k_m2",
    "mass_wh_per_k_m2",
    "coupling_w_per_k_m2",
    "solar_aperture_share",
    "gains_w_per_m2",
)
PRIOR_SHARE = 0.3  # standard deviation of a figure around its design value, relative
SENSOR_K = 0.08  # a mean over sensors and a quarter-hour
WALLS_K = 0.005  # per square root of a quarter-hour: what moves walls that nobody modelled
LEAST_DAYS = 5.0  # of measurements; fewer say nothing about walls
SHUT_SHARE = 0.2  # of the gains while a zone is closed
AHEAD_SLOTS = 96  # errors are judged a day ahead: that is what plans need
LEARNT_DAYS = 14.0
UNSEEN_SLOTS = 192  # the last days, on which new figures must prove themselves
DRIFT_RATIO, DRIFT_K = 1.5, 0.15  # identified anew when errors have grown by both


class TooLittleError(ValueError):
    """Too few measurements to identify anything; the message says how many there are."""


@dataclass(frozen=True)
class Together:
    """All rooms behind one substation as one: fabric by surface, measured series (NaN missing), gains by design."""

    substation: str
    surface_m2: float
    fabric: Fabric
    slots: Slots
    temperature_c: Floats
    heat_kw: Floats  # into the rooms, cold taken out already off
    outdoor_c: Floats
    irradiance_w_per_m2: Floats
    gains_kw: Floats


@dataclass(frozen=True)
class Identified:
    """`factors` on the design figures (in the order of FIGURES), and the error a day ahead, K, with and without them.

    `spread` is how sure they are: the standard deviation of their logarithms; PRIOR_SHARE for what was not seen.
    """

    substation: str
    factors: tuple[float, ...]
    spread: tuple[float, ...]
    error_k: float
    design_error_k: float
    at: datetime

    def applied(self, fabric: Fabric) -> Fabric:
        """A fabric with its figures multiplied; emitters stay as designed, gains are the forecast's matter."""
        known = dict(zip(FIGURES, self.factors, strict=True))
        changed = {k: getattr(fabric, k) * f for k, f in known.items() if k != "gains_w_per_m2"}
        changed["solar_aperture_share"] = min(changed["solar_aperture_share"], 1.0)
        return fabric.model_copy(update=changed)


def together(district: District, substation: str, history: History) -> Together:
    """What is known of all rooms behind a substation. Raises TooLittleError when nothing there is measured."""
    rooms = [a for a in district.assets.values() if isinstance(a, Dwelling | Zone) and a.substation == substation]
    surface = np.array([r.surface_m2 for r in rooms])
    read = [
        (r.surface_m2, history.values[p])
        for r in rooms
        if (p := r.point("temperature_c")) in history.values and getattr(r, "thermostat", True)
    ]
    if not read:
        raise TooLittleError(f"{substation}: no room behind it has a temperature in the history")
    weights, rows = np.array([m2 for m2, _ in read])[:, None], np.array([row for _, row in read])
    known = np.isfinite(rows) * weights
    with np.errstate(invalid="ignore", divide="ignore"):
        temperature = np.nansum(rows * known, axis=0) / known.sum(axis=0)
    temperature[known.sum(axis=0) < 0.5 * weights.sum()] = np.nan  # half of them silent: the mean would jump
    if not np.isfinite(temperature).any():
        raise TooLittleError(f"{substation}: at no time are half of its rooms measured")
    figures = {
        k: float(np.average([getattr(r.fabric, k) for r in rooms], weights=surface)) for k in Fabric.model_fields
    }
    slots = history.slots
    gains = np.zeros(slots.count)
    for room in rooms:
        share = np.ones(slots.count)
        if isinstance(room, Zone):
            share = np.where(occupied(room.opening, slots, district.place.time_zone), 1.0, SHUT_SHARE)
        gains = gains + share * room.fabric.gains_w_per_m2 * room.surface_m2 / 1000
    station = next(iter(district.of(WeatherStation)), "")
    heat = _row(history, f"{substation}/heat_power_kw")
    if district.asset(substation, Substation).cold_limit_kw > 0:
        heat = heat - _row(history, f"{substation}/cold_power_kw")
    return Together(
        substation,
        float(surface.sum()),
        Fabric(**figures),
        slots,
        temperature,
        heat,
        _row(history, f"{station}/outdoor_temperature_c"),
        _row(history, f"{station}/irradiance_w_per_m2"),
        gains,
    )


def _row(history: History, point: str) -> Floats:
    found = history.values.get(point)
    return np.full(history.slots.count, np.nan) if found is None else found


class _Rooms(MLEModel):  # type: ignore[misc]
    """Light node and mass of rooms taken together, as a state space with two states and one observed temperature."""

    def __init__(self, known: Together) -> None:
        super().__init__(known.temperature_c, k_states=2, k_posdef=2)
        self.known = known
        # Where an input is missing its last value stands, and that slot's temperature teaches nothing.
        blind = np.zeros(known.slots.count, dtype=bool)
        inputs = []
        for row in (known.outdoor_c, known.heat_kw, known.irradiance_w_per_m2, known.gains_kw):
            gaps = ~np.isfinite(row)
            blind |= gaps
            inputs.append(_filled(row))
        self.outdoor, self.heat, self.irradiance, self.gains = inputs
        self.ssm.endog[0, blind] = np.nan
        self.ssm["design"] = np.array([[1.0, 0.0]])
        self.ssm["selection"] = np.eye(2)
        self.ssm["obs_cov"] = np.array([[SENSOR_K**2]])
        self.ssm["state_intercept"] = np.zeros((2, known.slots.count))
        first = float(known.temperature_c[np.isfinite(known.temperature_c)][0])
        self.ssm.initialize_known(np.array([first, first]), np.diag([0.5**2, 2.0**2]))

    def update(self, params: Floats, **_: object) -> None:
        """Sets the matrices for logarithms of the factors, and of the light node's unrest."""
        step, into = stepped(self.known, np.exp(params[: len(FIGURES)]))
        sun = into["aperture_m2"] * self.irradiance / 1000
        on_light = self.heat + into["gains"] * self.gains + (1 - SUN_ON_MASS_SHARE) * sun
        on_mass = SUN_ON_MASS_SHARE * sun
        self.ssm["transition"] = step[:, :2]
        self.ssm["state_intercept"] = step[:, 2:] @ np.array([self.outdoor, on_light, on_mass])
        self.ssm["state_cov"] = np.diag([np.exp(2 * params[-1]), WALLS_K**2])

    def unlikeliness(self, params: Floats) -> float:
        """Minus the log of likelihood times prior, up to a constant."""
        self.update(params)
        likelihood = float(self.ssm.loglike())
        return -likelihood + 0.5 * float(np.sum((params[:-1] / PRIOR_SHARE) ** 2))


def stepped(known: Together, factors: Floats) -> tuple[Floats, dict[str, float]]:
    """The exact step of one slot, [light, mass] from [light, mass, outdoor, kW on light, kW on mass], and what scales
    the inputs."""
    figures = {k: getattr(known.fabric, k) * f for k, f in zip(FIGURES, factors, strict=True)}
    area = known.surface_m2 / 1000
    loss, coupling = figures["loss_w_per_k_m2"] * area, figures["coupling_w_per_k_m2"] * area
    light, mass = figures["light_wh_per_k_m2"] * area, figures["mass_wh_per_k_m2"] * area
    system = np.zeros((5, 5))
    system[0] = np.array([-(loss + coupling), coupling, loss, 1.0, 0.0]) / light
    system[1] = np.array([coupling, -coupling, 0.0, 0.0, 1.0]) / mass
    step = np.asarray(expm(system * known.slots.hours)[:2], dtype=float)
    return step, {"aperture_m2": figures["solar_aperture_share"] * known.surface_m2, "gains": float(factors[-1])}


def _filled(row: Floats) -> Floats:
    """Gaps closed with the last value before them (the first one after, at the beginning); 0 where all is missing."""
    good = np.isfinite(row)
    if not good.any():
        return np.zeros(row.size)
    place = np.maximum.accumulate(np.where(good, np.arange(row.size), -1))
    return np.asarray(row[np.where(place < 0, int(np.argmax(good)), place)], dtype=float)


def identify(known: Together, at: datetime) -> Identified:
    """The most likely factors on the design figures.

    Raises TooLittleError for less than LEAST_DAYS of slots in which temperature, heat and weather are all measured.
    """
    usable = np.all([np.isfinite(r) for r in (known.temperature_c, known.heat_kw, known.outdoor_c)], axis=0)
    days = float(usable.sum()) * known.slots.hours / 24
    if days < LEAST_DAYS:
        raise TooLittleError(f"{known.substation}: {days:.1f} days are measured; {LEAST_DAYS:g} are the least")
    model = _Rooms(known)
    start = np.append(np.zeros(len(FIGURES)), np.log(0.05))
    bounds = [(-1.2, 1.2)] * len(FIGURES) + [(np.log(0.002), np.log(1.0))]
    found = minimize(model.unlikeliness, start, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-6})
    factors = np.exp(found.x[:-1])
    variance = np.linalg.pinv(approx_hess(found.x, model.unlikeliness))[: len(FIGURES), : len(FIGURES)]
    spread = np.clip(np.sqrt(np.maximum(np.diag(variance), 0.0)), 0.0, PRIOR_SHARE)
    return Identified(
        known.substation,
        tuple(factors.tolist()),
        tuple(spread.tolist()),
        ahead_error_k(known, factors),
        ahead_error_k(known, np.ones(len(FIGURES))),
        at,
    )


def ahead_error_k(known: Together, factors: Iterable[float]) -> float:
    """Root mean square error of temperatures forecast for up to a day from filtered states, with measured inputs, K."""
    values = np.array(list(factors))
    model = _Rooms(known)
    model.update(np.append(np.log(values), np.log(0.05)))
    filtered = model.ssm.filter().filtered_state
    step, inputs = np.asarray(model.ssm["transition"]), np.asarray(model.ssm["state_intercept"])
    starts = np.arange(0, known.slots.count - AHEAD_SLOTS, AHEAD_SLOTS // 4)
    if starts.size == 0:
        return float("nan")
    state, errors = filtered[:, starts], []
    for ahead in range(AHEAD_SLOTS):
        state = step @ state + inputs[:, starts + ahead]
        errors.append(state[0] - known.temperature_c[starts + ahead + 1])
    return float(np.sqrt(np.nanmean(np.square(errors))))


def drifted(before: Identified, recent: Together) -> bool:
    """Whether a building no longer behaves as it was identified: errors a day ahead have grown clearly."""
    error_k = ahead_error_k(recent, before.factors)
    return bool(np.isfinite(error_k) and error_k > max(DRIFT_RATIO * before.error_k, before.error_k + DRIFT_K))


def learnt(district: District, substation: str, history: History, before: Identified | None) -> Identified | None:
    """What is known of a substation's rooms: what was known while it fits, else identified anew.

    None where too little is measured, and where the new figures do not forecast days better that they have not seen.
    """
    at = history.slots.end
    try:
        known = together(district, substation, _last(history, LEARNT_DAYS))
        if before is not None and not drifted(before, known):
            return before
        new = identify(_but_last(known, UNSEEN_SLOTS), at)
    except TooLittleError:
        return None
    unseen = _from(known, known.slots.count - UNSEEN_SLOTS - AHEAD_SLOTS)
    better = ahead_error_k(unseen, new.factors) < ahead_error_k(unseen, np.ones(len(FIGURES)))
    return new if better else None


def _last(history: History, days: float) -> History:
    slots = history.slots
    count = min(slots.count, round(days * 24 / slots.hours))
    kept = Slots(slots.at(slots.count - count), count, slots.minutes)
    return History(kept, {p: row[-count:] for p, row in history.values.items()})


def _cut(known: Together, first: int, last: int) -> Together:
    rows = ("temperature_c", "heat_kw", "outdoor_c", "irradiance_w_per_m2", "gains_kw")
    slots = Slots(known.slots.at(first), last - first, known.slots.minutes)
    return replace(known, slots=slots, **{row: getattr(known, row)[first:last] for row in rows})


def _but_last(known: Together, count: int) -> Together:
    if known.slots.count <= count:
        raise TooLittleError(f"{known.substation}: {known.slots.count} slots; more than {count} are needed")
    return _cut(known, 0, known.slots.count - count)


def _from(known: Together, first: int) -> Together:
    return _cut(known, max(first, 0), known.slots.count)


def with_fabrics(district: District, known: Mapping[str, Identified]) -> District:
    """The district with what was identified in the place of the design figures."""
    assets = {
        n: a.model_copy(update={"fabric": known[a.substation].applied(a.fabric)})
        if isinstance(a, Dwelling | Zone) and a.substation in known
        else a
        for n, a in district.assets.items()
    }
    return replace(district, assets=assets)
