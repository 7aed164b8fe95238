"""Checks a plan with numpy alone: balances and limits stated a second time, from the district and the forecasts.

Shares no rule with the planner: stores are re-stepped, rooms integrated in minutes, plants held to the first law. What
it refuses is never acted upon.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ems.assets import (
    Battery,
    BikeRoom,
    ChargePoint,
    Deferrable,
    Dwelling,
    Feeder,
    Loop,
    Photovoltaic,
    Plant,
    Supply,
    Tank,
    Zone,
)
from ems.assets.deferrable import windows
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
            checker.plants, checker.loops, checker.charging, checker.deferrables, checker.rooms,
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
                    take(medium, name, flow(name, f"{medium}_kw"))
                take("loop", asset.loop, flow(name, "loop_kw"))
            elif isinstance(asset, Tank):
                take("hot_water", asset.plant, flow(name, "charge_kw"))
            elif isinstance(asset, Loop):
                take("loop", name, -flow(name, "taken_kw"))
            elif (plant := getattr(asset, "plant", None)) is not None:
                for medium in ("heating", "cold"):
                    take(medium, plant, flow(name, f"{medium}_kw"))
                    take(medium, name, -flow(name, f"{medium}_kw"))
        for name, (room, _, _) in self._rooms().items():
            for medium in ("heating", "cold"):
                take(medium, room.substation, flow(name, f"{medium}_kw"))
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
        shared: dict[str, Floats] = {}
        for name, supply in self.district.of(Supply).items():
            if supply.shares_in is not None:
                taken, given = self.plan.flow(name, "from_members_kw"), self.plan.flow(name, "to_members_kw")
                self.below(name, "is given no more than it imports", taken, self.plan.flow(name, "import_kw"), POWER_KW)
                self.below(name, "gives no more than it exports", given, self.plan.flow(name, "export_kw"), POWER_KW)
                shared[supply.shares_in] = shared.get(supply.shares_in, 0.0) + taken - given
        for operation, net in shared.items():
            self.close(operation, "settles as much as is given", net, 0.0, POWER_KW)

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
            treating, released = self.plan.flow(name, "treating_kw"), self.plan.flow(name, "released_kw")
            held = energy[0] + np.cumsum(self.hours * (charge + heater + released - lost))
            extra = self.plan.states.get(f"{name}/extra_kwh", np.zeros(self.plan.slots.count + 1))
            above = extra[0] + np.cumsum(self.hours * (treating - released))
            self.close(name, "keeps the heat it was treated with", above, extra[1:], ENERGY_KWH * 10)
            self.below(name, "heats within its heater's power", heater + treating, tank.heater_kw, POWER_KW)
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
            faulty = self.snapshot.value(plant.point("fault_on")) == 1
            self.below(name, "runs no more circuits than it has", running, serving, 1e-4)
            enabled = 0.0 if serving == 0 or faulty else 1.0
            pumps = plant.pump_kw * (0.25 * enabled + 0.75 * running / plant.circuits)
            for medium in ("heating", "hot_water", "cold"):
                lost = self.plan.flow(name, f"{medium}_kw") + self.plan.flow(name, f"made_{medium}_kw")
                most = 0.0 if medium == "cold" else plant.node_loss_kw_per_k * 80.0
                self.below(name, f"gives away the {medium} it makes, less what its buffers lose", lost, most, POWER_KW)
                self.below(name, f"gives away no more {medium} than it makes", -lost, 0.0, POWER_KW)
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
            charge, back = self.plan.flow(name, "charge_kw"), self.plan.flow(name, "back_kw")
            leaves, arrives = (as_utc(at or slots.start) for at in (session.departs_at, session.arrives_at))
            there = [
                min(max((leaves - start) / slots.length, 0), 1) - min(max((arrives - start) / slots.length, 0), 1)
                for start in slots.starts
            ]
            plugged = np.maximum(np.array(there), 0)
            self.below(name, "charges within its limit while plugged", charge, socket.limit_kw * plugged, POWER_KW)
            share = socket.give_back_efficiency if isinstance(socket, ChargePoint) else 1.0
            gained = self.hours * np.cumsum(charge - back / max(share, 0.01))
            self.below(name, "charges no more than needed", float(gained[-1]), max(session.needed_kwh, 0.0), ENERGY_KWH)
            gives = socket.kw(socket.give_back_current_a) if isinstance(socket, ChargePoint) else 0.0
            self.below(name, "gives back within its limit while plugged", back, gives * plugged, POWER_KW)
            if back.any() and isinstance(socket, ChargePoint):
                stored, capacity = session.stored_kwh or 0.0, session.capacity_kwh or 0.0
                kept = min(stored, socket.kept_share * capacity)
                self.below(name, "keeps its share of the battery", kept - stored, gained, ENERGY_KWH)
                self.below(
                    name, "is never overfull", gained, max(capacity - stored, session.needed_kwh, 0.0), ENERGY_KWH
                )
        for name, feeder in self.district.of(Feeder).items():
            fed = [n for n, p in self.district.of(ChargePoint).items() if p.feeder == name]
            total = np.sum([self.plan.flow(n, "power_kw") for n in fed], axis=0) if fed else np.zeros(slots.count)
            self.below(name, "carries no more than its cable", np.abs(total), feeder.limit_kw, POWER_KW)
            self._phases(name, feeder)

    def deferrables(self) -> None:
        for name, load in self.district.of(Deferrable).items():
            on = self.plan.flow(name, "power_kw") / load.running_kw
            self.below(name, "runs at most the whole of a slot", on, 1.0, 1e-4)
            self.below(name, "runs no less than not at all", -on, 0.0, 1e-4)
            work = load.run_h if load.run_h is not None else (load.energy_kwh or 0.0) / load.running_kw
            missing, starts = self.plan.flow(name, "missing_h"), np.array(self.plan.slots.starts)
            for begin, end in windows(load, self.plan.slots, self.district.place.time_zone):
                if (
                    self.plan.slots.start < begin
                    and end <= self.plan.slots.end
                    and name not in self.snapshot.out_of_service
                ):
                    inside = (starts + self.plan.slots.length > begin) & (starts < end)
                    done = self.hours * float(on[inside].sum()) + float(missing[inside].sum())
                    self.below(name, "does its work in each window, or names what is missing", work, done, 1e-3)

    def _phases(self, name: str, feeder: Feeder) -> None:
        """No phase of a cable carries more than its third, where it is known what hangs on it."""
        points = {n: p for n, p in self.district.of(ChargePoint).items() if p.feeder == name}
        on_all = [self.plan.flow(n, "charge_kw") / 3 for n, p in points.items() if p.phase is None]
        for phase in (1, 2, 3):
            alone = [self.plan.flow(n, "charge_kw") for n, p in points.items() if p.phase == phase]
            if alone:
                total = np.sum(alone + on_all, axis=0)
                self.below(
                    name, f"carries no more than its cable on phase {phase}", total, feeder.limit_kw / 3, POWER_KW
                )

    def _rooms(self) -> dict[str, tuple[Dwelling | Zone, str, float]]:
        """Planned rooms by name: the room, whose forecast of gains holds for it, and its share of that."""
        rooms: dict[str, tuple[Dwelling | Zone, str, float]] = {
            n: (z, n, 1.0) for n, z in self.district.of(Zone).items()
        }
        homes: dict[str, list[Dwelling]] = {}
        for home in self.district.dwellings.values():
            homes.setdefault(home.building, []).append(home)
        for building, members in homes.items():
            surface = sum(m.surface_m2 for m in members)
            for home in members:
                own = f"{home.name}/gains_kw" in self.forecasts
                together = f"{building}/homes", home.surface_m2 / surface
                rooms[home.name] = (home, home.name, 1.0) if own else (home, *together)
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
            if f"{r[1]}/gains_kw" in self.forecasts and f"{n}/light_c" in self.plan.states
        }
        outdoor, sun = weather["outdoor_temperature_c"], weather["irradiance_w_per_m2"]
        if not known or outdoor is None or sun is None:
            return  # planned on named stand-ins, which the plan's notes tell
        fabrics = [room.fabric for room, _, _ in known.values()]
        surface = np.array([room.surface_m2 for room, _, _ in known.values()])[:, None] / 1000
        loss, coupling, light_c, mass_c = (
            np.array([getattr(f, field) for f in fabrics])[:, None] * surface
            for field in ("loss_w_per_k_m2", "coupling_w_per_k_m2", "light_wh_per_k_m2", "mass_wh_per_k_m2")
        )
        aperture = np.array([f.solar_aperture_share for f in fabrics])[:, None] * surface
        entering = aperture * sun[None, :]
        heat = np.array([self.plan.flow(n, "heating_kw") - self.plan.flow(n, "cold_kw") for n in known])
        on_light = heat + np.array([self.forecasts[f"{by}/gains_kw"].median * share for _, by, share in known.values()])
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
