"""The devices of a small district: a little physics, watchdogs, and whatever the faults of the hour do to them.

It knows nothing of the loop's rules; what it keeps is the truth, and the history of all that was written to it.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ems.assets import Battery, ChargePoint, Dwelling, Tank
from ems.command import Command
from ems.district import Device, District
from ems.slots import slot_number


@dataclass(frozen=True)
class Landed:
    """One write as the device saw it; `stood` is what it showed before, `held` whether that was our command."""

    at: datetime
    life: int
    command: Command
    stood: float
    held: float | None
    manual: bool
    believed: bool = True  # whether we could know that it arrived


@dataclass
class Held:
    """A command that stands in a device."""

    command: Command
    heard_at: datetime


@dataclass
class Spread:
    """What a measured point really was in a quarter-hour."""

    low: float = math.inf
    high: float = -math.inf

    def take(self, value: float) -> None:
        self.low, self.high = min(self.low, value), max(self.high, value)


@dataclass
class Plant:
    """All devices of a district. Time moves by `advance`."""

    district: District
    now: datetime
    chance: random.Random
    values: dict[str, float] = field(default_factory=dict)  # measured points, as they truly are
    held: dict[str, Held] = field(default_factory=dict)
    manual: dict[str, float] = field(default_factory=dict)  # somebody at the device, at a higher priority
    # When that was another value than would stand there without: from, until.
    against: dict[str, list[tuple[datetime, datetime]]] = field(default_factory=lambda: defaultdict(list))
    beats: dict[str, tuple[float, datetime]] = field(default_factory=dict)
    landed: list[Landed] = field(default_factory=list)
    truth: dict[tuple[str, int], Spread] = field(default_factory=lambda: defaultdict(Spread))
    coldest_outlet_c: float = math.inf

    def __post_init__(self) -> None:
        for point, wire in self.district.wires.items():
            if not wire.writable:
                begins = 1000.0 if wire.quantity.endswith("energy_kwh") else START.get(wire.quantity, 20.0)
                value = begins + self.chance.uniform(0, 0.5)
                low, high = wire.measure.minimum, wire.measure.maximum
                value = value if low is None else max(value, low)
                self.values[point] = value if high is None else min(value, high)
        self._note_truth()

    def release(self, point: str) -> float:
        write = self.district.wires[point].measure.write
        assert write is not None
        return write.release

    def present(self, point: str) -> float:
        """What a point shows: a person's hold, else our command, else the device's own value."""
        if point in self.values:
            return self.values[point]
        return self.manual[point] if point in self.manual else self._stands(point)

    def _stands(self, point: str) -> float:
        """Where a point stands that no person holds."""
        stands = self.held.get(point)
        value = None if stands is None else stands.command.value
        return self.release(point) if value is None else value

    def write(self, command: Command, life: int, *, believed: bool = True) -> None:
        """A command arrives: it stands until it is relinquished, replaced, or its watchdog fires."""
        point = command.point
        known = self.held.get(point)
        self.landed.append(
            Landed(
                self.now,
                life,
                command,
                self.present(point),
                None if known is None else known.command.value,
                point in self.manual,
                believed,
            )
        )
        if command.value is None:
            self.held.pop(point, None)
        else:
            self.held[point] = Held(command, self.now)

    def beat(self, point: str, value: float) -> None:
        self.beats[point] = (value, self.now)

    def reboot(self, bus: str) -> None:
        """Every device on the bus forgets what it was told."""
        self.held = {p: h for p, h in self.held.items() if self.district.wires[p].bus.name != bus}

    def would_show(self, bus: str) -> bool:
        """Whether a reboot of a bus can be seen: something of ours stands there at another value than the device's own,
        and is not told again and again anyway."""
        for point, stands in self.held.items():
            wire, value = self.district.wires[point], stands.command.value
            watchdog = wire.device.type.watchdog
            is_told_again = watchdog is not None and watchdog.kind == "rewrite"
            if wire.bus.name != bus or value is None or is_told_again or point in self.manual:
                continue
            if abs(value - self.release(point)) > NOTICEABLE:
                return True
        return False

    def advance(self, to: datetime) -> None:
        """Physics and watchdogs up to an instant."""
        hours = (to - self.now) / timedelta(hours=1)
        if hours <= 0:
            return
        for point, value in self.manual.items():
            if abs(value - self._stands(point)) > NOTICEABLE:
                self.against[point].append((self.now, to))
        self.now = to
        self._fire_watchdogs()
        for asset in self.district.assets.values():
            match asset:
                case Tank():
                    self._warm(asset, hours)
                case Battery():
                    self._store(asset, hours)
                case Dwelling():
                    self._live(asset, hours)
                case ChargePoint():
                    self._move(asset.point("power_kw"), 3 + self.chance.random())
        for point in self.values:
            if point.endswith("energy_kwh"):
                power = self.values.get(point.replace("energy_kwh", "power_kw"), 1.0)
                self.values[point] += max(power, 0.0) * hours
            elif point.endswith("/power_kw") and point.rpartition("/")[0].partition("/")[2].startswith(METERED):
                self._move(point, 2 + 2 * self.chance.random())
            elif point.endswith("/outdoor_temperature_c"):  # one that stands still is taken for frozen, and rightly
                self._move(point, 14 + self.chance.uniform(-0.5, 0.5))
            elif point.endswith("/supply_temperature_c"):
                self._move(point, 40 + self.present(point.replace("supply_temperature_c", "heating_curve_offset_k")))
                self.values[point] += self.chance.uniform(-0.2, 0.2)
        self._note_truth()

    def _move(self, point: str, value: float) -> None:
        if point in self.values:
            self.values[point] = value

    def _warm(self, tank: Tank, hours: float) -> None:
        """A draw of a little over a kelvin a quarter-hour; the charge is stronger."""
        if tank.point("charge_on") not in self.district.wires:
            return
        charges, aim = self.present(tank.point("charge_on")) >= 1, self.present(tank.point("setpoint_c"))
        top = self.values[tank.point("top_temperature_c")] - (3.0 + 3.0 * self.chance.random()) * hours
        if charges:
            top = min(max(aim, top), top + 24 * hours)
        self.values[tank.point("top_temperature_c")] = max(top, 20.0)
        self.values[tank.point("middle_temperature_c")] = max(top - 2, 20.0)
        self.values[tank.point("return_temperature_c")] = max(top - 4, 20.0)
        self.coldest_outlet_c = min(self.coldest_outlet_c, top)

    def _store(self, battery: Battery, hours: float) -> None:
        point = battery.point("power_setpoint_kw")
        if point not in self.district.wires:
            return
        stored = battery.point("stored_kwh")
        free = min(max(self.present(point) * hours, 2.6 - self.values[stored]), 49.0 - self.values[stored])
        self.values[stored] += free
        self.values[battery.point("power_kw")] = free / hours

    def _live(self, home: Dwelling, hours: float) -> None:
        offset = home.point("setpoint_offset_k")
        if offset not in self.district.wires:
            return
        self.values[home.point("setpoint_c")] = 19.5
        aim = 19.5 + self.present(offset)
        inside = home.point("temperature_c")
        self.values[inside] += (aim - self.values[inside]) * min(hours / 4, 1.0) + self.chance.uniform(-0.05, 0.05)

    def _fire_watchdogs(self) -> None:
        for device in self.district.devices:
            watchdog = device.type.watchdog
            if watchdog is None:
                continue
            if watchdog.kind == "rewrite":
                for point in self._points_of(device):
                    stands = self.held.get(point)
                    if stands is not None and self._is_over(stands.heard_at, watchdog.timeout_s):
                        del self.held[point]
            elif watchdog.kind == "counter" and watchdog.quantity is not None:
                beat = self.beats.get(f"{device.asset}/{watchdog.quantity}")
                if beat is None or self._is_over(beat[1], watchdog.timeout_s):
                    self.reboot(device.bus.name)

    def _is_over(self, since: datetime, timeout_s: float) -> bool:
        return (self.now - since).total_seconds() > timeout_s

    def _points_of(self, device: Device) -> list[str]:
        return [p for p, w in self.district.wires.items() if w.device is device and w.writable]

    def _note_truth(self) -> None:
        slot = slot_number(self.now)
        for point, value in self.values.items():
            self.truth[point, slot].take(value)
            if self.now.minute % 15 == 0:  # a boundary belongs to both sides
                self.truth[point, slot - 1].take(value)


NOTICEABLE = 0.1  # in the unit of the point: two values nearer than this are one
METERED = ("landlord", "services", "flat-")
START = {
    "top_temperature_c": 60.0,
    "middle_temperature_c": 58.0,
    "return_temperature_c": 55.0,
    "temperature_c": 19.5,
    "setpoint_c": 19.0,
    "stored_kwh": 25.0,
    "supply_temperature_c": 40.0,
    "state_mode": 1.0,
    "power_kw": 2.0,
}
