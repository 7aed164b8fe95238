"""The write gate: nothing goes to the field around it. Each command is checked against the envelope, alone and
together with what would then stand; what fails is refused with a reason, and nothing is quietly bent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from ems import envelope
from ems.assets import Battery, BikeRoom, ChargePoint, Dwelling, Feeder, Plant, Supply, Tank, Zone
from ems.command import Command, Refused
from ems.district import District, Wire
from ems.points import dimension
from ems.snapshot import Snapshot

UNOCCUPIED = 3.0  # of an occupancy mode


@dataclass(frozen=True)
class Permission:
    """What may be written, and what may not and why."""

    allowed: list[Command] = field(default_factory=list)
    refused: list[tuple[Command, Refused]] = field(default_factory=list)


def permit(
    commands: Sequence[Command],
    *,
    district: District,
    snapshot: Snapshot,
    now: datetime,
    since: Mapping[str, datetime] = MappingProxyType({}),
    standing: Mapping[str, float] = MappingProxyType({}),
) -> Permission:
    """Checks commands against authority, expiry and the envelope. A relinquishing command is always allowed.

    `since`: when points were last seen to switch on or off, as far as anybody saw it. `standing`: where points were
    last confirmed to stand by our command; what would change nothing there is refused.
    """
    gate = _Gate(district, snapshot, now, since, standing)
    allowed: list[Command] = []
    refused: list[tuple[Command, Refused]] = []
    named: set[str] = set()
    for command in commands:
        why = "is commanded twice in one slot" if command.point in named else gate.refusal_alone(command)
        named.add(command.point)
        if why is None:
            allowed.append(command)
        else:
            refused.append((command, Refused(why)))
    # What was refused will not stand: the rest is judged again without it, until nothing more falls.
    while said := gate.refusals_together(allowed):
        refused += [(c, Refused(said[c.point])) for c in allowed if c.point in said]
        allowed = [c for c in allowed if c.point not in said]
    return Permission(allowed, refused)


def limits_of(wire: Wire, district: District) -> envelope.Limits:
    """The envelope's limits of a writable point, from its device type and its asset."""
    write = wire.measure.write
    assert write is not None
    asset = district.assets.get(wire.device.asset)
    at_least, maximum = None, write.maximum
    if isinstance(asset, ChargePoint) and wire.quantity == "current_limit_a":
        at_least, maximum = asset.minimum_current_a, min(write.maximum, asset.maximum_current_a)
    minimum = write.minimum
    if isinstance(asset, Battery) and wire.quantity == "power_setpoint_kw":
        minimum, maximum = max(minimum, -asset.discharge_limit_kw), min(maximum, asset.charge_limit_kw)
    return envelope.Limits(
        minimum=minimum,
        maximum=maximum,
        ramp_per_slot=write.ramp_per_slot,
        least_on_s=write.least_on_s,
        least_off_s=write.least_off_s,
        dead_band=write.dead_band,
        zero_or_at_least=at_least,
        whole=dimension(wire.quantity) in ("state", "count"),
    )


class _Gate:
    """The gate of one slot: knows what is measured, and what would stand once the commands are written."""

    def __init__(
        self,
        district: District,
        snapshot: Snapshot,
        now: datetime,
        since: Mapping[str, datetime],
        standing: Mapping[str, float],
    ) -> None:
        self.district = district
        self.snapshot = snapshot
        self.now = now
        self.since = since
        self.standing = standing
        self.wanted: dict[str, float] = {}  # what the commands still to be judged would make stand

    def found(self, point: str) -> float | None:
        """What the point shows; None too where the reading is too old to judge by."""
        sample = self.snapshot.samples.get(point)
        if sample is None or envelope.too_old((self.now - sample.at).total_seconds()):
            return None
        return sample.usable

    def then(self, point: str) -> float | None:
        """What the point would stand at: the command of this slot, else what was read."""
        return self.wanted.get(point, self.found(point))

    def refusal_alone(self, command: Command) -> str | None:
        """Why a command may not leave, whatever else does."""
        wire = self.district.wires.get(command.point)
        if wire is None:
            return "is no point of this district"
        if not wire.writable:
            return "cannot be written"
        if wire.authority == "observe":
            return "is not ours: its authority is observe"
        if not 9 <= command.priority <= 15:
            return f"has priority {command.priority}; ours lie between 9 and 15"
        if command.value is None:
            return None
        if (watchdog := wire.device.type.watchdog) is not None and wire.quantity == watchdog.quantity:
            return "is a sign of life, which nobody commands"
        if wire.device.asset in self.snapshot.out_of_service:
            return "belongs to an asset that is out of service or handed back"
        if (held := self.snapshot.overrides.get(command.point)) is not None and held.value != command.value:
            return f"is held at {held.value:g} by {held.by} until {held.until.isoformat()}"
        if command.expires_at <= self.now:
            return f"expired at {command.expires_at.isoformat()}"
        limits, found = limits_of(wire, self.district), self.found(command.point)
        return (
            envelope.outside_limits(command.value, limits)
            or envelope.changes_nothing(command.value, self.standing.get(command.point), found, limits)
            or envelope.too_fast(command.value, found, limits)
            or envelope.switches_too_soon(command.value, found, self.unchanged_s(command.point), limits)
            or envelope.stops_recirculation(wire.quantity, command.value)
            or self.draws_too_much(wire, command.value)
        )

    def refusals_together(self, commands: Sequence[Command]) -> dict[str, str]:
        """Why commands may not leave beside each other, by point."""
        self.wanted = {c.point: c.value for c in commands if c.value is not None}
        wires = self.district.wires
        said = {p: why for p, v in self.wanted.items() if (why := self.asset_refusal(wires[p], v)) is not None}
        return said or self.overloads()

    def asset_refusal(self, wire: Wire, value: float) -> str | None:
        asset = self.district.assets.get(wire.device.asset)
        match asset, wire.quantity:
            case Dwelling(), "setpoint_offset_k":
                band = self.district.comfort[asset.use]
                return envelope.outside_band(value, self.found(asset.point("setpoint_c")), band.floor_c, band.ceiling_c)
            case Zone(), "heating_setpoint_c" | "cooling_setpoint_c":
                return self.spoils_comfort(asset, wire, value) or envelope.heats_against_cooling(
                    self.then(asset.point("heating_setpoint_c")),
                    self.then(asset.point("cooling_setpoint_c")),
                )
            case Tank(), "setpoint_c":
                leaving = self.then(f"{asset.plant}/hot_water_leaving_setpoint_c")
                return envelope.stands_too_cool(value) or (
                    None if leaving is None else envelope.leaves_too_cool(leaving, [value])
                )
            case Tank(), "charge_on" if value < 1:
                return envelope.starves_hot_water(
                    self.found(asset.point("top_temperature_c")),
                    self.found(asset.point("middle_temperature_c")),
                    self.found(asset.point("return_temperature_c")),
                )
            case Plant(), "enable_on" | "capacity_share" if value <= 0:
                return self.stops_needed_plant(asset)
            case Plant(), "hot_water_leaving_setpoint_c":
                tanks = [t for t in self.district.of(Tank).values() if t.plant == asset.name]
                setpoints = [s for t in tanks if (s := self.then(t.point("setpoint_c"))) is not None]
                return envelope.leaves_too_cool(value, setpoints, self.found(wire.point))
            case Battery(), "power_setpoint_kw":
                return envelope.overfills(
                    value,
                    self.found(asset.point("stored_kwh")),
                    asset.capacity_kwh * asset.minimum_share,
                    asset.capacity_kwh * asset.maximum_share,
                ) or self.overdraws(asset, value)
            case _:
                return None

    def spoils_comfort(self, zone: Zone, wire: Wire, value: float) -> str | None:
        """An occupied zone (or one of which nobody knows) keeps its floor."""
        if wire.quantity != "heating_setpoint_c":
            return None
        floor_c = self.district.comfort[zone.use].floor_c
        empty = self.then(zone.point("occupancy_mode")) == UNOCCUPIED
        return envelope.chills_people(value, self.found(wire.point), floor_c, occupied=not empty)

    def unchanged_s(self, point: str) -> float | None:
        since = self.since.get(point)
        if since is None or since > self.now:  # a clock that went back: how long it was is not known any more
            return None
        return (self.now - since).total_seconds()

    def draws_too_much(self, wire: Wire, value: float) -> str | None:
        """No load is raised while its supply point is above its fuse; one that is not metered has the plan's limit."""
        asset = self.district.assets.get(wire.device.asset)
        match asset, wire.quantity:
            case ChargePoint(), "current_limit_a":
                name = self.district.asset(asset.feeder, Feeder).supply
            case (BikeRoom(supply=name), "power_limit_kw") | (Plant(supply=name), "enable_on" | "capacity_share"):
                pass
            case _:
                return None
        supply = self.district.asset(name, Supply)
        return envelope.carries_too_much(
            value, self.found(wire.point), self.found(supply.point("power_kw")), supply.physical_limit_kw
        )

    def overdraws(self, battery: Battery, value: float) -> str | None:
        supply = self.district.asset(battery.supply, Supply)
        if supply.point("power_kw") not in self.district.wires:
            return None  # not metered: the planner's limit is all there is
        return envelope.overdraws(
            value,
            self.found(battery.point("power_setpoint_kw")),
            self.found(supply.point("power_kw")),
            self.found(battery.point("power_kw")),
            supply.physical_limit_kw,
        )

    def stops_needed_plant(self, plant: Plant) -> str | None:
        """A plant may rest only while every tank it serves is surely hot."""
        for tank in self.district.of(Tank).values():
            if tank.plant == plant.name:
                why = envelope.starves_hot_water(
                    self.found(tank.point("top_temperature_c")),
                    self.found(tank.point("middle_temperature_c")),
                    self.found(tank.point("return_temperature_c")),
                )
                if why is not None:
                    return f"{tank.name} needs it: {why}"
        return None

    def overloads(self) -> dict[str, str]:
        """Every raise on a cable whose charge points would together take more than it carries, and why."""
        points = self.district.of(ChargePoint)
        shed: dict[str, str] = {}
        for name, feeder in self.district.of(Feeder).items():
            powers, raised = [], []
            for point in points.values():
                if point.feeder != name:
                    continue
                limit = point.point("current_limit_a")
                now, then = self.found(limit), self.then(limit)
                # What is not known may be drawn in full.
                powers.append(point.kw(point.maximum_current_a if then is None else then))
                wanted = self.wanted.get(limit, 0.0)
                if wanted > 0 and (now is None or wanted > now):  # to take less, or nothing, is always allowed
                    raised.append(limit)
            why = envelope.overloads(powers, feeder.limit_kw)
            if why is not None:
                shed |= dict.fromkeys(raised, why)
        return shed
