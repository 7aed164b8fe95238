"""Rooms: light node, mass and emitter of every dwelling and large zone, with heat flowing between neighbouring flats.

Per zone, in kW, kWh/K and degC; positive heat flows into the zone:
    C_e dT_e = q_emitter - k_out (T_e - T_l)
    C_l dT_l = k_out (T_e - T_l) + gains + 0.4 sun - q_cooling - U (T_l - T_out) - K (T_l - T_m)
    C_m dT_m = K (T_l - T_m) + 0.6 sun - sum over neighbours of G (T_m - T_m')
stepped explicitly each minute, so that every kWh that leaves one node enters another.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ems.assets import Dwelling, Fabric, Substation, Zone
from ems.series import Floats
from ems.simulate.plant.chance import chance, spread

HOURS = 1 / 60
DESIGN_ROOM_C = 20.0
DESIGN_COOLED_C = 26.0
DESIGN_COLD_SUPPLY_C = 8.0
EMITTER_FLOW_W_PER_K_M2 = 8.0 / 40.0  # heat capacity flow per W of design heat: 5 K between supply and return
EFFECTIVENESS = 0.6  # of the emitter: how near its water comes to it
SUN_ON_LIGHT_SHARE = 0.4
WINDOW_PER_LOSS = 2.5  # an open window, as a multiple of the zone's loss
NEIGHBOUR_W_PER_K_M2 = 0.7  # party wall or slab between two flats, per m2 of the smaller flat
VALVE_BAND_K = 1.0
# Emitter capacity, Wh/K per W/m2 of design heat and m2: a heated floor follows within hours, a fan coil in minutes.
FLOOR_WH_PER_K = 15.0 / 40.0
FAN_COIL_WH_PER_K = 1.0 / 45.0


class Rooms:
    """All zones at once: dwellings first, in the order given, then the large zones."""

    def __init__(
        self, dwellings: Sequence[Dwelling], zones: Sequence[Zone], substations: Sequence[Substation], seed: int
    ) -> None:
        both: list[Dwelling | Zone] = [*dwellings, *zones]
        fabrics: list[Fabric] = [z.fabric for z in both]
        n, homes = len(both), len(dwellings)
        self.count, self.homes = n, homes
        self.surface_m2 = np.array([z.surface_m2 for z in both])
        area = self.surface_m2 / 1000  # W/m2 -> kW

        def true(attribute: str, share: float = 0.3) -> Floats:
            design = np.array([getattr(f, attribute) for f in fabrics])
            return design * area * spread(seed, attribute, n, share)

        self.loss_kw_per_k = true("loss_w_per_k_m2")
        self.light_kwh_per_k = true("light_wh_per_k_m2")
        self.mass_kwh_per_k = true("mass_wh_per_k_m2")
        self.coupling_kw_per_k = true("coupling_w_per_k_m2")
        self.aperture_m2 = true("solar_aperture_share") * 1000
        heating_kw = true("heating_w_per_m2", 0.15)
        supply_c = np.array([s.design_supply_c for s in substations])
        names = [s.name for s in substations]
        self.substation = np.array([names.index(z.substation) for z in both], dtype=np.int64)
        self.of_substation = np.zeros((len(substations), n))
        self.of_substation[self.substation, np.arange(n)] = 1
        self.heat_limit_kw = np.array([s.heat_limit_kw for s in substations])
        self.cold_limit_kw = np.array([s.cold_limit_kw for s in substations])
        # Series of water-to-emitter and emitter-to-room gives design heat at design supply temperature.
        overall = heating_kw / (supply_c[self.substation] - DESIGN_ROOM_C)
        self.flow_kw_per_k = heating_kw * EMITTER_FLOW_W_PER_K_M2
        self.inlet_kw_per_k = EFFECTIVENESS * self.flow_kw_per_k
        self.outlet_kw_per_k = 1 / (1 / overall - 1 / self.inlet_kw_per_k)
        self.emitter_kwh_per_k = heating_kw * np.where(np.arange(n) < homes, FLOOR_WH_PER_K, FAN_COIL_WH_PER_K)
        cooling_kw = true("cooling_w_per_m2", 0.15)[homes:]
        self.cooling_kw_per_k = cooling_kw / (DESIGN_COOLED_C - DESIGN_COLD_SUPPLY_C)
        self.between = _neighbours(dwellings, n)

        draw = chance(seed, "room-sensors")
        self.bias_k = np.where(np.arange(n) < homes, draw.uniform(-0.5, 0.5, n), draw.uniform(-0.2, 0.2, n))
        self.light_c = np.full(n, 20.0)
        self.mass_c = np.full(n, 20.0)
        self.emitter_c = np.full(n, 20.0)
        self.window = np.zeros(n)  # 0 shut .. 1 open
        # Rows of `_now` (kW): heat from the water, gains with sun, loss, to neighbours; their sums over minutes.
        self._now, self._sums = np.zeros((4, n)), np.zeros((4, n))
        self.heat_kw, self.gain_kw, self.loss_kw, self.neighbour_kw = self._now
        self.cold_kw = np.zeros(n - homes)  # taken out of the large zones
        self._cold_sums = np.zeros(n - homes)
        self.valve = np.zeros(n)
        self.cold_valve = np.zeros(n - homes)

    def settle(self, outdoor_c: float, gain_kw: Floats, heating_c: Floats, cooling_c: Floats) -> None:
        """Begin near the steady state of a day with this mean weather."""
        free = outdoor_c + gain_kw / self.loss_kw_per_k
        cooled = np.append(np.full(self.homes, 28.5), cooling_c)
        at = np.minimum(np.maximum(free, heating_c), np.maximum(cooled, heating_c))
        self.light_c, self.mass_c, self.emitter_c = at.copy(), at.copy(), at.copy()

    def step(
        self,
        outdoor_c: float,
        gains_kw: Floats,
        sun_kw: Floats,
        air_change: Floats,
        supply_c: Floats,
        pump_on: NDArray[np.bool_],
        cold_supply_c: Floats,
        heating_c: Floats,
        cooling_c: Floats,
    ) -> None:
        """One minute.

        `supply_c`, `pump_on`, `cold_supply_c` per substation; the rest per zone (`cooling_c` per large zone);
        `air_change` scales the loss with what the ventilation does.
        """
        light, mass, emitter = self.light_c, self.mass_c, self.emitter_c
        felt = light + self.bias_k
        valve = np.minimum(np.maximum((heating_c + 0.5 * VALVE_BAND_K - felt) / VALVE_BAND_K, 0), 1)
        valve *= pump_on[self.substation]
        wanted = valve * self.inlet_kw_per_k * np.maximum(supply_c[self.substation] - emitter, 0)
        total = self.of_substation @ wanted
        if (total > self.heat_limit_kw).any():
            share = np.minimum(self.heat_limit_kw / np.maximum(total, 1e-9), 1)[self.substation]
            wanted, valve = wanted * share, valve * share
        self.valve = valve
        room_heat = self.outlet_kw_per_k * (emitter - light)

        large = slice(self.homes, None)
        cold_valve = np.minimum(np.maximum(felt[large] + 0.5 * VALVE_BAND_K - cooling_c, 0), 1)
        where = self.substation[large]
        cold = cold_valve * self.cooling_kw_per_k * np.maximum(light[large] - cold_supply_c[where], 0)
        asked = self.of_substation[:, large] @ cold
        if (asked > self.cold_limit_kw).any():
            cold *= np.minimum(self.cold_limit_kw / np.maximum(asked, 1e-9), 1)[where]
        self.cold_kw, self.cold_valve = cold, cold_valve

        loss = self.loss_kw_per_k * (air_change + WINDOW_PER_LOSS * self.window) * (light - outdoor_c)
        into_mass = self.coupling_kw_per_k * (light - mass)
        neighbours = self.between @ mass
        into_light = room_heat + gains_kw + SUN_ON_LIGHT_SHARE * sun_kw - loss - into_mass
        into_light[large] -= cold
        self.light_c = light + into_light * HOURS / self.light_kwh_per_k
        self.mass_c = mass + (into_mass + (1 - SUN_ON_LIGHT_SHARE) * sun_kw - neighbours) * HOURS / self.mass_kwh_per_k
        self.emitter_c = emitter + (wanted - room_heat) * HOURS / self.emitter_kwh_per_k

        self.heat_kw[:] = wanted
        self.loss_kw[:] = loss
        self.neighbour_kw[:] = neighbours
        np.add(gains_kw, sun_kw, out=self.gain_kw)
        self._sums += self._now
        self._cold_sums += cold

    @property
    def heat_kwh(self) -> Floats:
        return np.asarray(self._sums[0] * HOURS)

    @property
    def gain_kwh(self) -> Floats:
        return np.asarray(self._sums[1] * HOURS)

    @property
    def loss_kwh(self) -> Floats:
        return np.asarray(self._sums[2] * HOURS)

    @property
    def neighbour_kwh(self) -> Floats:
        return np.asarray(self._sums[3] * HOURS)

    @property
    def cold_kwh(self) -> Floats:
        return self._cold_sums * HOURS

    def move_windows(
        self, airing: Floats, present: NDArray[np.bool_], morning: NDArray[np.bool_], outdoor_c: float
    ) -> None:
        """Each five minutes: open when too warm and cooler outside, or for the morning's airing; shut when cool.

        `airing`: a chance in 0..1 per dwelling; `morning`: who airs now.
        """
        homes = slice(0, self.homes)
        inside, open_now = self.light_c[homes], self.window[homes] > 0
        helps = inside > outdoor_c + 0.5
        eager = np.minimum(np.maximum((inside - 24.0) / 4.0, 0), 0.8)
        opens = present & ~open_now & (((airing < eager) & helps) | (morning & (airing < 0.3)))
        cool = inside < np.where(morning, 17.0, 23.0)
        shuts = open_now & (
            cool | ~helps & (airing < 0.3) | ~present & (airing < 0.02) | (inside < 23.5) & (airing < 0.4)
        )
        self.window[homes] = np.where(opens, 1.0, np.where(shuts, 0.0, self.window[homes]))

    def stored_kwh(self) -> Floats:
        """Heat in each zone and its emitter above 0 degC."""
        return (
            self.light_c * self.light_kwh_per_k
            + self.mass_c * self.mass_kwh_per_k
            + self.emitter_c * self.emitter_kwh_per_k
        )

    @property
    def substation_heat_kw(self) -> Floats:
        return np.asarray(self.of_substation @ self.heat_kw)

    @property
    def substation_cold_kw(self) -> Floats:
        return np.asarray(self.of_substation[:, self.homes :] @ self.cold_kw)


def _neighbours(dwellings: Sequence[Dwelling], count: int) -> sparse.csr_array:
    """The Laplacian of heat flow between flats, kW/K: those side by side on a floor, and those above each other.

    Flats of a floor follow each other as in the file; the k-th of a floor lies below the k-th of the next (assumption).
    """
    floors: dict[tuple[str, int], list[int]] = {}
    for i, d in enumerate(dwellings):
        floors.setdefault((d.building, d.floor), []).append(i)
    pairs: list[tuple[int, int]] = []
    for (building, floor), here in floors.items():
        pairs += list(pairwise(here))
        pairs += list(zip(here, floors.get((building, floor + 1), []), strict=False))
    laplacian = sparse.lil_array((count, count))
    for i, j in pairs:
        conductance = NEIGHBOUR_W_PER_K_M2 * min(dwellings[i].surface_m2, dwellings[j].surface_m2) / 1000
        laplacian[i, i] += conductance
        laplacian[j, j] += conductance
        laplacian[i, j] -= conductance
        laplacian[j, i] -= conductance
    return sparse.csr_array(laplacian)
