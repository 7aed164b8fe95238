"""Checks a plan with numpy alone: balances and limits stated a second time, from the district and the forecasts.

Shares no rule with the planner: stores are re-stepped, rooms integrated in minutes, plants held to the first law. What
it refuses is never acted upon.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ems.assets import Battery, BikeRoom, ChargePoint, Dwelling, Feeder, Loop, Photovoltaic, Plant, Supply, Tank, Zone
from ems.assets.zone import SUN_ON_MASS_SHARE
from ems.district import District
from ems.series import Floats, Forecast
from ems.slots import as_utc
from ems.snapshot import Snapshot

if TYPE_CHECKING:
    from ems.optimise.plan import Plan

POWER_KW = 0.01
ENERGY_KWH = 0.01
ROOM_K = 0.02  # between the exact step and minutes of integration
WATER_KWH_PER_M3_K = 1.163


@dataclass(frozen=True)
class Fault:
    """One statement that the plan contradicts: about whom, what, and by how much at worst."""

    asset: str
    says: str
    worst: float

    def __str__(self) -> str:
        return f"{self.asset}: {self.says}, off by {self.worst:.4g}"


def check(district: District, snapshot: Snapshot, forecasts: Mapping[str, Forecast], plan: Plan) -> tuple[Fault, ...]:
    """Every fault found in a plan; empty when it may be acted upon."""
    checker = _Checker(district, snapshot, forecasts, plan)
    checker.numbers()
    if not checker.faults:
        for statement in (
            checker.nodes, checker.supplies, checker.batteries, checker.sun, checker.tanks,
            checker.plants, checker.loops, checker.charging, checker.rooms,
        ):  # fmt: skip
            statement()
    return tuple(checker.faults)


class _Checker:
    def __init__(self, district: District, snapshot: Snapshot, forecasts: Mapping[str, Forecast], plan: Plan) -> None:
        self.district, self.snapshot, self.forecasts, self.plan = district, snapshot, forecasts, plan
        self.hours = plan.slots.hours
        self.faults: list[Fault] = []

    def close(self, asset: str, says: str, left: Floats | float, right: Floats | float, tolerance: float) -> None:
        worst = float(np.max(np.abs(np.asarray(left) - np.asarray(right)), initial=0.0))
        if not worst <= tolerance:
            self.faults.append(Fault(asset, says, worst))

    def below(self, asset: str, says: str, value: Floats | float, limit: Floats | float, tolerance: float) -> None:
        worst = float(np.max(np.asarray(value) - np.asarray(limit), initial=0.0))
        if not worst <= tolerance:
            self.faults.append(Fault(asset, says, worst))

    def numbers(self) -> None:
        """Every row is of the horizon's length and finite."""
        count = self.plan.slots.count
        for rows, length in ((self.plan.flows, count), (self.plan.states, count + 1)):
            for name, row in rows.items():
                if row.shape != (length,) or not np.isfinite(row).all():
                    self.faults.append(Fault(name, f"has {length} finite values", float("nan")))

    def nodes(self) -> None:
        """At each node and slot: taken + spilled = given + unserved."""
        net: dict[tuple[str, str], Floats] = {}

        def take(medium: str, node: str, flow: Floats) -> None:
            row = net.setdefault((medium, node), np.zeros(self.plan.slots.count))
            row += flow

        flow = self.plan.flow
        for name, asset in self.district.assets.items():
            supply = getattr(asset, "supply", None)
            if isinstance(asset, ChargePoint):
                supply = self.district.asset(asset.feeder, Feeder).supply
            if isinstance(asset, Supply):
                take("electricity", name, flow(name, "export_kw") - flow(name, "import_kw"))
            elif supply is not None and not isinstance(asset, Feeder):
                take("electricity", supply, flow(name, "power_kw"))
            if isinstance(asset, Plant):
                for medium in ("heating", "hot_water", "cold"):
                    take(medium, name, -flow(name, f"made_{medium}_kw"))
                take("loop", asset.loop, flow(name, "loop_kw"))
            elif isinstance(asset, Tank):
                take("hot_water", asset.plant, flow(name, "charge_kw"))
            elif isinstance(asset, Loop):
                take("loop", name, -flow(name, "taken_kw"))
            elif (plant := getattr(asset, "plant", None)) is not None:
                for medium in ("heating", "cold"):
                    take(medium, plant, flow(name, f"{medium}_kw"))
                    take(medium, name, -flow(name, f"{medium}_kw"))
        for name, substation in self._rooms().items():
            for medium in ("heating", "cold"):
                take(medium, substation[0], flow(name, f"{medium}_kw"))
        for (medium, node), taken in net.items():
            slack = flow(node, f"{medium}_spilled_kw") - flow(node, f"{medium}_unserved_kw")
            self.close(node, f"{medium} taken and given are equal", taken + slack, 0.0, POWER_KW)

    def supplies(self) -> None:
        for name, supply in self.district.of(Supply).items():
            bought, sold = self.plan.flow(name, "import_kw"), self.plan.flow(name, "export_kw")
            self.below(name, "imports no more than physically possible", bought, supply.physical_limit_kw, POWER_KW)
            self.below(name, "exports no more than physically possible", sold, supply.physical_limit_kw, POWER_KW)
            self.below(name, "import and export are not negative", -np.minimum(bought, sold), 0.0, POWER_KW)
            beyond = bought - supply.subscribed_kw - self.plan.flow(name, "exceedance_kw")
            self.below(name, "names what it draws above the subscribed power", beyond, 0.0, POWER_KW)

    def batteries(self) -> None:
        for name, battery in self.district.of(Battery).items():
            charge, discharge = self.plan.flow(name, "charge_kw"), self.plan.flow(name, "discharge_kw")
            energy, eta = self.plan.state(name, "energy_kwh"), max(battery.one_way_efficiency, 0.01)
            stored = energy[0] + np.cumsum(self.hours * (eta * charge - discharge / eta))
            self.close(name, "stores what it takes less losses", stored, energy[1:], ENERGY_KWH * 10)
            self.below(name, "charges within its limit", charge, battery.charge_limit_kw, POWER_KW)
            self.below(name, "discharges within its limit", discharge, battery.discharge_limit_kw, POWER_KW)
            self.below(name, "is never overfull", energy, battery.maximum_share * battery.capacity_kwh, ENERGY_KWH)
            self.below(
                name, "is never below its minimum", battery.minimum_share * battery.capacity_kwh, energy, ENERGY_KWH
            )

    def sun(self) -> None:
        for name, array in self.district.of(Photovoltaic).items():
            forecast = self.forecasts.get(array.point("power_kw"))
            offered = np.zeros(self.plan.slots.count) if forecast is None else np.maximum(-forecast.median, 0.0)
            self.below(name, "uses no more sun than there is", self.plan.flow(name, "used_kw"), offered, POWER_KW)

    def tanks(self) -> None:
        for name, tank in self.district.of(Tank).items():
            forecast = self.forecasts.get(tank.point("draw_kw"))
            draw = (
                np.maximum(forecast.median, 0.0)
                if forecast is not None
                else np.full(self.plan.slots.count, tank.design_draw_kw)
            )
            charge, heater = self.plan.flow(name, "charge_kw"), self.plan.flow(name, "heater_kw")
            lost = draw + tank.recirculation_loss_kw + tank.standing_loss_kw - self.plan.flow(name, "undrawn_kw")
            energy = self.plan.state(name, "energy_kwh")
            held = energy[0] + np.cumsum(self.hours * (charge + heater - lost))
            self.close(name, "holds what is charged less what is drawn and lost", held, energy[1:], ENERGY_KWH * 10)
            self.below(name, "charges within its limit", charge, tank.charge_limit_kw, POWER_KW)
            most = tank.volume_m3 * WATER_KWH_PER_M3_K * (tank.maximum_c - tank.cold_water_c)
            self.below(name, "is never hotter than its maximum", energy, most, ENERGY_KWH)
            self.below(name, "holds no negative heat", -energy, 0.0, ENERGY_KWH)

    def plants(self) -> None:
        """First law: heat made = cold made + heat from the loop + compressor power; no more circuits than there are."""
        for name, plant in self.district.of(Plant).items():
            modes = ("heating", "hot_water", "cold", "heating_and_cold", "hot_water_and_cold")
            running = np.sum([self.plan.flow(name, f"{m}_running_share") for m in modes], axis=0)
            serving = 0 if name in self.snapshot.out_of_service else plant.circuits
            self.below(name, "runs no more circuits than it has", running, serving, 1e-4)
            pumps = plant.pump_kw * running / plant.circuits
            made = self.plan.flow(name, "made_heating_kw") + self.plan.flow(name, "made_hot_water_kw")
            taken = self.plan.flow(name, "made_cold_kw") + self.plan.flow(name, "loop_kw")
            self.close(
                name,
                "makes the heat it takes and draws",
                made,
                taken + self.plan.flow(name, "power_kw") - pumps,
                POWER_KW * 5,
            )

    def loops(self) -> None:
        for name, loop in self.district.of(Loop).items():
            temperature = self.plan.state(name, "temperature_c")
            sea = self.plan.flow(name, "heat_from_sea_kw") - self.plan.flow(name, "heat_to_sea_kw")
            gained = np.cumsum(self.hours * (sea - self.plan.flow(name, "taken_kw")))
            store = loop.volume_m3 * WATER_KWH_PER_M3_K
            self.close(name, "warms by what it gains", temperature[0] + gained / store, temperature[1:], ROOM_K)
            self.below(name, "is never warmer than allowed", temperature, loop.maximum_c, ROOM_K)
            self.below(name, "is never colder than allowed", loop.minimum_c, temperature, ROOM_K)

    def charging(self) -> None:
        slots = self.plan.slots
        for name, session in self.snapshot.sessions.items():
            socket = self.district.assets.get(name)
            if not isinstance(socket, ChargePoint | BikeRoom):
                continue
            power = self.plan.flow(name, "power_kw")
            there = np.array([(as_utc(session.departs_at) - start) / slots.length for start in slots.starts])
            self.below(
                name, "charges within its limit while plugged", power, socket.limit_kw * np.clip(there, 0, 1), POWER_KW
            )
            self.below(
                name,
                "charges no more than needed",
                float(power.sum()) * self.hours,
                max(session.needed_kwh, 0.0),
                ENERGY_KWH,
            )
        for name, feeder in self.district.of(Feeder).items():
            fed = [n for n, p in self.district.of(ChargePoint).items() if p.feeder == name]
            total = np.sum([self.plan.flow(n, "power_kw") for n in fed], axis=0) if fed else np.zeros(slots.count)
            self.below(name, "carries no more than its cable", total, feeder.limit_kw, POWER_KW)

    def _rooms(self) -> dict[str, tuple[str, float, list[Dwelling | Zone]]]:
        """Planned rooms as the plan names them: substation, surface and members."""
        rooms: dict[str, tuple[str, float, list[Dwelling | Zone]]] = {}
        for name, zone in self.district.of(Zone).items():
            rooms[name] = (zone.substation, zone.surface_m2, [zone])
        groups: dict[tuple[object, ...], list[Dwelling | Zone]] = {}
        for dwelling in self.district.dwellings.values():
            groups.setdefault((dwelling.building, dwelling.substation, dwelling.use, dwelling.fabric), []).append(
                dwelling
            )
        for members in groups.values():
            name, number = f"{members[0].building}/homes", 2
            while name in rooms:
                name, number = f"{members[0].building}/homes-{number}", number + 1
            rooms[name] = (members[0].substation, sum(m.surface_m2 for m in members), members)
        return rooms

    def rooms(self) -> None:
        """Two heat balances per room, integrated by minutes from boundary to boundary."""
        weather = {
            q: next((f.median for p, f in self.forecasts.items() if p.endswith("/" + q)), None)
            for q in ("outdoor_temperature_c", "irradiance_w_per_m2")
        }
        known = {
            n: r
            for n, r in self._rooms().items()
            if f"{n}/gains_kw" in self.forecasts and f"{n}/light_c" in self.plan.states
        }
        outdoor, sun = weather["outdoor_temperature_c"], weather["irradiance_w_per_m2"]
        if not known or outdoor is None or sun is None:
            return  # planned on named stand-ins, which the plan's notes tell
        fabrics = [members[0].fabric for _, _, members in known.values()]
        surface = np.array([m2 for _, m2, _ in known.values()])[:, None] / 1000
        loss, coupling, light_c, mass_c = (
            np.array([getattr(f, field) for f in fabrics])[:, None] * surface
            for field in ("loss_w_per_k_m2", "coupling_w_per_k_m2", "light_wh_per_k_m2", "mass_wh_per_k_m2")
        )
        aperture = np.array([f.solar_aperture_share for f in fabrics])[:, None] * surface
        entering = aperture * sun[None, :]
        heat = np.array([self.plan.flow(n, "heating_kw") - self.plan.flow(n, "cold_kw") for n in known])
        on_light = heat + np.array([self.forecasts[f"{n}/gains_kw"].median for n in known])
        on_light = on_light + (1 - SUN_ON_MASS_SHARE) * entering
        on_mass = SUN_ON_MASS_SHARE * entering
        light = np.array([self.plan.state(n, "light_c") for n in known])
        mass = np.array([self.plan.state(n, "mass_c") for n in known])
        at_light, at_mass = light[:, :-1].copy(), mass[:, :-1].copy()  # all slots at once: each from its own start
        minutes = self.plan.slots.minutes * 2
        step_h = self.hours / minutes

        def rates(a: Floats, m: Floats) -> tuple[Floats, Floats]:
            return (loss * (outdoor - a) + coupling * (m - a) + on_light) / light_c, (
                coupling * (a - m) + on_mass
            ) / mass_c

        for _ in range(minutes):
            first = rates(at_light, at_mass)
            second = rates(at_light + step_h / 2 * first[0], at_mass + step_h / 2 * first[1])
            at_light, at_mass = at_light + step_h * second[0], at_mass + step_h * second[1]
        for i, name in enumerate(known):
            self.close(name, "its air follows its heat balance", at_light[i], light[i, 1:], ROOM_K)
            self.close(name, "its walls follow their heat balance", at_mass[i], mass[i, 1:], ROOM_K)
