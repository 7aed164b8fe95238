"""Hot water: stratified tanks with recirculation, an electric heater, and a mixing valve at the taps.

Six layers, top first. Water drawn leaves the top and cold water enters the bottom; charging takes water from the
bottom, heats it and returns it to the top; recirculation leaves the top, loses heat in the risers and returns to the
lower middle. Layers exchange only what flows (upwind), and turn over when the lower one is warmer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ems.assets import Tank
from ems.series import Floats
from ems.simulate.plant.chance import chance, spread
from ems.simulate.plant.day import MINUTES, Day
from ems.simulate.plant.people import TAP_C

LAYERS = 6
RETURN_LAYER = 3
KWH_PER_M3_K = 1.163
HOURS = 1 / 60
AMBIENT_C = 20.0
RISER_DROP_K = 4.0  # outlet to return at design
CHARGE_SPREAD_K = 10.0  # design spread of the charging circuit
MIXED_C = 48.5  # what the mixing valve is set to
PUMP_KW_PER_M3 = 0.03
CHARGE_PUMP_KW_PER_KW = 0.003
HEATER_ON_C, HEATER_OFF_C = 50.0, 54.0
PASTEURISATION_C = 71.0
# When guests and children tap, local hours.
BY_HOUR = np.array([1, 0.5, 0.3, 0.3, 0.6, 3, 11, 14, 10, 5, 3, 3, 4, 4, 3, 3, 4, 6, 8, 9, 8, 6, 4, 2], dtype=float)
DAYTIME = np.array([0, 0, 0, 0, 0, 0, 0, 2, 6, 9, 10, 12, 12, 8, 7, 9, 9, 5, 1, 0, 0, 0, 0, 0], dtype=float)


def useful_litres_at_tap(tank: Tank) -> float:
    """Design draw per day as water at 40 degC, m3."""
    return tank.daily_draw_m3 * (60 - tank.cold_water_c) / (TAP_C - tank.cold_water_c)


class Tanks:
    """All tanks of the district."""

    def __init__(
        self, tanks: Sequence[Tank], plants: Sequence[str], dwellings_of: Floats, daytime: Sequence[bool], seed: int
    ) -> None:
        """`dwellings_of`: (tanks, dwellings) of 0 and 1; a tank without any serves guests, or children (`daytime`)."""
        n = len(tanks)
        self.tanks, self.seed, self.count = tanks, seed, n
        self.plant = np.array([plants.index(t.plant) for t in tanks], dtype=np.int64)
        self.dwellings_of = dwellings_of
        self.alone = [k for k in range(n) if not dwellings_of[k].any()]
        self.daytime = daytime
        self.tap_m3_per_day = np.array([useful_litres_at_tap(t) for t in tanks]) * spread(seed, "tank-draw", n, 0.1)
        self.layer_kwh_per_k = np.array([t.volume_m3 for t in tanks]) / LAYERS * KWH_PER_M3_K
        self.charge_limit_kw = np.array([t.charge_limit_kw for t in tanks])
        self.charge_flow = self.charge_limit_kw / CHARGE_SPREAD_K  # kW/K
        recirculation = np.array([t.recirculation_loss_kw for t in tanks]) * spread(seed, "recirculation", n, 0.2)
        self.riser_kw_per_k = recirculation / (57.0 - AMBIENT_C)
        self.recirculation_flow = np.maximum(recirculation, 0.1) / RISER_DROP_K  # kW/K
        self.riser_kwh_per_k = self.recirculation_flow * 0.25  # a quarter of an hour of flow
        standing = np.array([t.standing_loss_kw for t in tanks]) * spread(seed, "standing", n, 0.2)
        self.standing_kw_per_k = standing / (60.0 - AMBIENT_C) / LAYERS
        self.heater_kw = np.array([t.heater_kw for t in tanks])
        self.pump_kw = PUMP_KW_PER_M3 * np.array([t.volume_m3 for t in tanks])
        self.cold_mean_c = np.array([t.cold_water_c for t in tanks])
        self.layers_c = np.linspace(60.0, 52.0, LAYERS)[None, :].repeat(n, axis=0)
        self.riser_c = np.full(n, 54.0)
        self.setpoint_c = np.full(n, 60.0)
        self.charge_on = np.ones(n)
        self.pasteurise = np.zeros(n)
        self.charging = np.zeros(n, dtype=bool)
        self.heating = np.zeros(n, dtype=bool)
        self.cold_c = self.cold_mean_c.copy()
        # Rows of `_now` (kW): charge, draw, heater, riser loss, unmet; sums of them over minutes in `_sums`.
        self._now = np.zeros((5, n))
        self._sums = np.zeros((5, n))
        self.charge_kw, self.draw_kw, self.heater_now_kw, self.riser_loss_kw, self._unmet_kw = self._now
        self._standing = np.zeros((n, LAYERS))  # sums over minutes, kW
        self.electric_kw = np.zeros(n)
        self.cool_minutes = np.zeros(n)  # outlet below 45 degC
        self.return_cool_minutes = np.zeros(n)  # return below 50 degC
        self.hot_share = np.ones(n)  # litres of hot water in a litre at the tap
        self._tapped_l = np.zeros((MINUTES, n))
        self._wanted_kw = np.zeros((MINUTES, n))
        self._circulating = np.zeros((n, LAYERS - 1))
        self._circulating[:, :RETURN_LAYER] = self.recirculation_flow[:, None]
        self._most_flow = 0.9 * self.layer_kwh_per_k / HOURS  # kW/K: not more than a layer in a minute
        self._none = np.zeros(n)
        self._heats = False
        self._lift = TAP_C - self.cold_c
        self._turning = 0.3 * self.layer_kwh_per_k[:, None] / HOURS
        self._gain_per_kw = HOURS / self.layer_kwh_per_k[:, None]

    def prepare(self, day: Day, tapped_l: Floats) -> None:
        """The day's taps: those of dwellings (1440, dwellings; litres at 40 degC), and those of guests and children."""
        self.cold_c = self.cold_mean_c - 4.5 * day.season
        self._tapped_l = tapped_l @ self.dwellings_of.T
        draw = chance(self.seed, "guests", day.number)
        for k in self.alone:
            weights = DAYTIME if self.daytime[k] else BY_HOUR
            litres = self.tap_m3_per_day[k] * 1000 * float(draw.normal(1.0, 0.12))
            if self.daytime[k]:
                litres *= 1.4 if day.working else 0.02
            count = int(draw.poisson(max(litres, 1) / 12))
            edges = np.concatenate([[0.0], np.cumsum(weights) / weights.sum()])
            local = np.minimum(np.interp(draw.random(count), edges, np.arange(25) * 60.0), MINUTES - 3).astype(np.int64)
            begin = day.utc_minute(local)
            each = 12.0 / 2 * draw.gamma(2.0, 0.5, count)
            at = np.minimum(begin[:, None] + np.arange(2), MINUTES - 1)
            self._tapped_l[:, k] = np.bincount(at.ravel(), np.repeat(each, 2), MINUTES)
        self._lift = TAP_C - self.cold_c
        self._wanted_kw = self._tapped_l / 1000 * KWH_PER_M3_K / HOURS * self._lift

    def step(self, minute: int, hot_leaving_c: Floats) -> None:
        """One minute. `hot_leaving_c`: the hot-water circuit of each plant."""
        layers, cold = self.layers_c, self.cold_c
        top, bottom = layers[:, 0], layers[:, -1]
        # Taps: enough hot water to make the wanted litres at 40 degC; when it is not hot enough, all of it is hot.
        wanted_kw = self._wanted_kw[minute]
        warm = top - cold
        per_k = np.maximum(warm, self._lift)
        self.hot_share = self._lift / per_k
        draw = np.minimum(wanted_kw / per_k, self._most_flow)  # kW/K
        np.multiply(draw, warm, out=self.draw_kw)
        np.subtract(wanted_kw, self.draw_kw, out=self._unmet_kw)

        # Charging: local hysteresis around the set point, only when enabled; pasteurisation asks for more.
        pasteurise = self.pasteurise > 0
        treating = pasteurise.any()
        target = np.where(pasteurise, PASTEURISATION_C, self.setpoint_c) if treating else self.setpoint_c
        begin = (layers[:, 2] < target - 3) | (top < target - 2)
        self.charging = (begin | self.charging & (layers[:, 4] <= target - 2)) & (self.charge_on > 0)
        if self.charging.any():
            hot = hot_leaving_c[self.plant] - 1.0
            goal = np.minimum(target, np.maximum(hot - 1.5, self.setpoint_c))
            open_share = np.minimum(np.maximum((hot - goal + 0.5) / 2.5, 0), 1) * self.charging
            lift = np.maximum(hot - bottom, 1e-6)
            flow = np.minimum(
                np.minimum(self.charge_flow * open_share, self.charge_limit_kw / lift), 0.5 * self._most_flow
            )
            np.multiply(flow, lift, out=self.charge_kw)
        else:
            flow, lift = self._none, self._none
            self.charge_kw[:] = 0.0

        # Recirculation never stops.
        circulated, returned = self.recirculation_flow, self.riser_c
        np.multiply(self.riser_kw_per_k, returned - AMBIENT_C, out=self.riser_loss_kw)

        # Upward flow across the boundary below layer i, kW/K: draw and recirculation up, charge down.
        up = (draw - flow)[:, None] + self._circulating
        above, below = layers[:, :-1], layers[:, 1:]
        moved = up * np.where(up > 0, below, above)  # heat upward, above 0 degC
        moved += np.maximum(below - above, 0) * self._turning  # a warmer lower layer turns over
        standing = self.standing_kw_per_k[:, None] * (layers - AMBIENT_C)
        change = -standing
        change[:, :-1] += moved
        change[:, 1:] -= moved
        change[:, 0] += flow * (bottom + lift) - (draw + circulated) * top
        change[:, -1] += draw * cold - flow * bottom
        change[:, RETURN_LAYER] += circulated * returned

        second = layers[:, 1]
        if treating or self._heats or second.min() < HEATER_ON_C:
            self.heating = (
                (self.heating & (second < HEATER_OFF_C))
                | (second < HEATER_ON_C)
                | (pasteurise & (second < PASTEURISATION_C))
            )
            self._heats = bool(self.heating.any())
            np.multiply(self.heater_kw, self.heating, out=self.heater_now_kw)
            change[:, 1] += self.heater_now_kw
        self.layers_c = layers + change * self._gain_per_kw
        self.riser_c = returned + (circulated * (top - returned) - self.riser_loss_kw) * HOURS / self.riser_kwh_per_k

        self.electric_kw = self.heater_now_kw + self.pump_kw + CHARGE_PUMP_KW_PER_KW * self.charge_kw
        self._standing += standing
        self._sums += self._now
        self.cool_minutes += top < 45.0
        self.return_cool_minutes += returned < 50.0

    @property
    def charge_kwh(self) -> Floats:
        return np.asarray(self._sums[0] * HOURS)

    @property
    def draw_kwh(self) -> Floats:
        return np.asarray(self._sums[1] * HOURS)

    @property
    def heater_kwh(self) -> Floats:
        return np.asarray(self._sums[2] * HOURS)

    @property
    def riser_loss_kwh(self) -> Floats:
        return np.asarray(self._sums[3] * HOURS)

    @property
    def unmet_kwh(self) -> Floats:
        """What people wanted and did not get at 40 degC."""
        return np.asarray(self._sums[4] * HOURS)

    @property
    def standing_kwh(self) -> Floats:
        return np.asarray(self._standing.sum(axis=1) * HOURS)

    def asks(self) -> NDArray[np.bool_]:
        return self.charging

    def mixed_c(self) -> Floats:
        return np.minimum(self.layers_c[:, 0] - 0.3, MIXED_C)

    def stored_kwh(self) -> Floats:
        """Heat in each tank and its risers above 0 degC."""
        return np.asarray(self.layers_c.sum(axis=1) * self.layer_kwh_per_k + self.riser_c * self.riser_kwh_per_k)
