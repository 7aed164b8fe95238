"""The write gate: nothing goes to the field around it. Each command is checked against the envelope, alone and
together with what would then stand; what fails is refused with a reason, and nothing is quietly bent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from ems import envelope
from ems.assets import Battery, ChargePoint, Dwelling, Feeder, Plant, Supply, Tank, Zone
from ems.command import Command, Refused
from ems.district import District, Wire
from ems.points import dimension
from ems.snapshot import Snapshot

UNOCCUPIED = 3.0  # of an occupancy mode
COMPRESSOR_LEAST_S = 600.0  # on, and off


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
) -> Permission:
    """Checks commands against authority, expiry and the envelope. A relinquishing command is always allowed.

    `since`: when points were last seen to change, as far as anybody saw it.
    """
    once: dict[str, Command] = {}
    refused: list[tuple[Command, Refused]] = []
    for command in commands:
        if command.point in once:
            refused.append((command, Refused("is commanded twice in one slot")))
        else:
            once[command.point] = command
    allowed = list(once.values())
    while True:
        # What was refused will not stand: the rest is judged again without it, until nothing more falls.
        gate = _Gate(district, snapshot, {c.point: c.value for c in allowed if c.value is not None}, since)
        said = {c.point: why for c in allowed if (why := gate.refusal(c, now)) is not None}
        if not said:
            return gate.shed_overloads(allowed, refused)
        refused += [(c, Refused(said[c.point])) for c in allowed if c.point in said]
        allowed = [c for c in allowed if c.point not in said]


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
        zero_or_at_least=at_least,
        whole=dimension(wire.quantity) in ("state", "count"),
    )


class _Gate:
    """The gate of one slot: knows what is measured, and what would stand once the commands are written."""

    def __init__(
        self, district: District, snapshot: Snapshot, wanted: Mapping[str, float], since: Mapping[str, datetime]
    ) -> None:
        self.district = district
        self.snapshot = snapshot
        self.wanted = wanted
        self.since = since

    def standing(self, point: str) -> float | None:
        """What the point would stand at: the command of this slot, else what was read."""
        return self.wanted.get(point, self.snapshot.value(point))

    def refusal(self, command: Command, now: datetime) -> str | None:
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
        if wire.device.asset in self.snapshot.out_of_service:
            return "belongs to an asset that is out of service or handed back"
        if (held := self.snapshot.overrides.get(command.point)) is not None and held.value != command.value:
            return f"is held at {held.value:g} by {held.by} until {held.until.isoformat()}"
        if command.expires_at <= now:
            return f"expired at {command.expires_at.isoformat()}"
        limits = limits_of(wire, self.district)
        return (
            envelope.outside_limits(command.value, limits)
            or envelope.too_fast(command.value, self.snapshot.value(command.point), limits)
            or self.asset_refusal(wire, command.value)
        )

    def asset_refusal(self, wire: Wire, value: float) -> str | None:
        asset = self.district.assets.get(wire.device.asset)
        match asset, wire.quantity:
            case Dwelling(), "setpoint_offset_k":
                band = self.district.comfort[asset.use]
                return envelope.outside_band(
                    value, self.snapshot.value(asset.point("setpoint_c")), band.floor_c, band.ceiling_c
                )
            case Zone(), "heating_setpoint_c" | "cooling_setpoint_c":
                return self.spoils_comfort(asset, wire, value) or envelope.heats_against_cooling(
                    self.standing(asset.point("heating_setpoint_c")),
                    self.standing(asset.point("cooling_setpoint_c")),
                )
            case Tank(), "setpoint_c":
                leaving = self.standing(f"{asset.plant}/hot_water_leaving_setpoint_c")
                return None if leaving is None else envelope.leaves_too_cool(leaving, [value])
            case Tank(), "charge_on" if value < 1:
                return envelope.starves_hot_water(
                    self.snapshot.value(asset.point("top_temperature_c")),
                    self.snapshot.value(asset.point("middle_temperature_c")),
                    self.snapshot.value(asset.point("return_temperature_c")),
                )
            case Plant(), "enable_on" | "capacity_share" if value <= 0:
                point = asset.point(wire.quantity)
                return self.stops_needed_plant(asset) or self.switches_too_soon(point, value)
            case Plant(), "enable_on":
                return self.switches_too_soon(asset.point("enable_on"), value)
            case Plant(), "hot_water_leaving_setpoint_c":
                tanks = [t for t in self.district.of(Tank).values() if t.plant == asset.name]
                setpoints = [s for t in tanks if (s := self.standing(t.point("setpoint_c"))) is not None]
                return envelope.leaves_too_cool(value, setpoints)
            case Battery(), "power_setpoint_kw":
                return envelope.overfills(
                    value,
                    self.snapshot.value(asset.point("stored_kwh")),
                    asset.capacity_kwh * asset.minimum_share,
                    asset.capacity_kwh * asset.maximum_share,
                ) or self.overdraws(asset, value)
            case _:
                return envelope.stops_recirculation(wire.quantity, value)

    def spoils_comfort(self, zone: Zone, wire: Wire, value: float) -> str | None:
        """An occupied zone (or one of which nobody knows) keeps its floor."""
        if wire.quantity != "heating_setpoint_c":
            return None
        floor_c = self.district.comfort[zone.use].floor_c
        empty = self.standing(zone.point("occupancy_mode")) == UNOCCUPIED
        return envelope.chills_people(value, self.snapshot.value(wire.point), floor_c, occupied=not empty)

    def switches_too_soon(self, point: str, value: float) -> str | None:
        since = self.since.get(point)
        unchanged_s = None if since is None else (self.snapshot.at - since).total_seconds()
        return envelope.switches_too_soon(value, self.snapshot.value(point), unchanged_s, COMPRESSOR_LEAST_S)

    def overdraws(self, battery: Battery, value: float) -> str | None:
        supply = self.district.asset(battery.supply, Supply)
        if supply.point("power_kw") not in self.district.wires:
            return None  # not metered: the planner's limit is all there is
        return envelope.overdraws(
            value,
            self.snapshot.value(battery.point("power_setpoint_kw")),
            self.snapshot.value(supply.point("power_kw")),
            self.snapshot.value(battery.point("power_kw")),
            supply.physical_limit_kw,
        )

    def stops_needed_plant(self, plant: Plant) -> str | None:
        """A plant may rest only while every tank it serves is surely hot."""
        for tank in self.district.of(Tank).values():
            if tank.plant == plant.name:
                why = envelope.starves_hot_water(
                    self.snapshot.value(tank.point("top_temperature_c")),
                    self.snapshot.value(tank.point("middle_temperature_c")),
                    self.snapshot.value(tank.point("return_temperature_c")),
                )
                if why is not None:
                    return f"{tank.name} needs it: {why}"
        return None

    def shed_overloads(self, allowed: list[Command], refused: list[tuple[Command, Refused]]) -> Permission:
        """Refuses every raise on a cable whose charge points would together take more than it carries."""
        points = self.district.of(ChargePoint)
        changes = {c.point: c.value for c in allowed if c.value is not None}
        shed: dict[str, str] = {}
        for name, feeder in self.district.of(Feeder).items():
            mine = [p for p in points.values() if p.feeder == name]
            currents: dict[str, float] = {}
            for point in mine:
                limit = point.point("current_limit_a")
                # What is not known may be drawn in full.
                known = changes.get(limit, self.snapshot.value(limit))
                currents[limit] = point.maximum_current_a if known is None else known
            why = envelope.overloads([p.kw(currents[p.point("current_limit_a")]) for p in mine], feeder.limit_kw)
            if why is not None:
                for point in mine:
                    limit = point.point("current_limit_a")
                    before = self.snapshot.value(limit)
                    if limit in changes and currents[limit] > (before or 0.0):  # to take less is always allowed
                        shed[limit] = why
        return Permission(
            [c for c in allowed if c.point not in shed],
            refused + [(c, Refused(shed[c.point])) for c in allowed if c.point in shed],
        )
