"""What people ask for, in the words of the loop: set points in the place of the plan's, and what cars need. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from ems.assets import BikeRoom, ChargePoint, Dwelling
from ems.assets.zone import OFFSET_K
from ems.command import Setpoint
from ems.district import District
from ems.estimate.sessions import Trip
from ems.slots import SLOT
from ems.snapshot import Override, Session, Snapshot
from ems.store import Closing, ComfortWish, Departure, Hold, Reservation

HELD = "held: "  # begins the reason of a command that a person asked for
A_WISH_STANDS = timedelta(days=3)  # longer than any plan


@dataclass(frozen=True)
class Wanted:
    """Everything that stands asked for at one instant, by home, charge point, point and asset."""

    wishes: Mapping[str, ComfortWish] = field(default_factory=dict)
    heating: Mapping[str, datetime] = field(default_factory=dict)
    departures: Mapping[str, Departure] = field(default_factory=dict)
    holds: Mapping[str, Hold] = field(default_factory=dict)
    locked: frozenset[str] = frozenset()
    reservations: Sequence[Reservation] = ()
    closings: Sequence[Closing] = ()

    @property
    def closed(self) -> dict[str, frozenset[date]]:
        """The local days on which a room stays shut, by asset."""
        found: dict[str, set[date]] = {}
        for one in self.closings:
            found.setdefault(one.asset, set()).update(one.days)
        return {asset: frozenset(days) for asset, days in found.items()}

    def setpoints(self, district: District, snapshot: Snapshot) -> dict[str, Setpoint]:
        """By point, what people want there. A wish of a home stays within its promised band; a manager comes before it.

        An offset on a thermostat that cannot be read is safe at 0 alone.
        """
        found = {}
        for home in sorted({*self.wishes, *self.heating}):
            dwelling = district.dwellings.get(home)
            point = f"{home}/setpoint_offset_k"
            if dwelling is None or point not in district.wires or not district.wires[point].commanded:
                continue
            wish = self.wishes.get(home)
            if home in self.heating:
                offset_k, reason = OFFSET_K, "chauffer tout de suite | heat at once"
            elif wish is not None and (wish.offset_k or not wish.shift):
                offset_k, reason = wish.offset_k, "souhait du logement | wish of the home"
            else:
                continue  # the plan may shift around the thermostat
            value = within_band(district, dwelling, snapshot.value(f"{home}/setpoint_c"), offset_k)
            found[point] = Setpoint(point, value, HELD + reason)
        for point, hold in self.holds.items():
            if point in district.wires and district.wires[point].commanded:
                found[point] = Setpoint(point, hold.value, f"{HELD}{hold.by}, {hold.reason}")
        return found

    def overrides(self, district: District, snapshot: Snapshot) -> dict[str, Override]:
        """The same as the plan takes it: values that will stand, and until when. A wish stands until it is changed."""
        found = {}
        for point, setpoint in self.setpoints(district, snapshot).items():
            hold, reason = self.holds.get(point), setpoint.reason.removeprefix(HELD)
            if hold is not None:
                found[point] = Override(point, hold.value, hold.by, hold.reason, hold.until)
            else:
                until = self.heating.get(point.rpartition("/")[0], snapshot.at + A_WISH_STANDS)
                found[point] = Override(point, setpoint.value, "resident", reason, until)
        return found

    def on(self, district: District, known: Snapshot) -> Snapshot:
        """The snapshot as the plan is to take it: with what people hold, ask for, work at and shut."""
        return replace(
            known,
            sessions=self.sessions(district, known),
            out_of_service=known.out_of_service | self.locked,
            holds=self.overrides(district, known),
            closed=self.closed,
        )

    def trips(self, now: datetime) -> dict[str, Trip]:
        """By asset, the next reservation to come, and when the car comes back from the one that runs."""
        found = {}
        for one in sorted(self.reservations, key=lambda r: r.begins):
            if one.begins > now and one.asset not in found:
                away = [r.ends for r in self.reservations if r.asset == one.asset and r.begins <= now < r.ends]
                found[one.asset] = Trip(one.begins, one.needed_kwh, max(away, default=None))
        return found

    def sessions(self, district: District, snapshot: Snapshot) -> dict[str, Session]:
        """The sessions of the snapshot, where a driver said something by what they said.

        What the car has taken since then is counted off. At once means as fast as the point gives it. Bicycles are
        ready when the first of those that have a place is to leave.
        """
        found = dict(snapshot.sessions)
        for asset, said in self.departures.items():
            session, point = found.get(asset), district.assets.get(asset)
            if session is None or not isinstance(point, ChargePoint):
                continue  # not plugged in yet, or gone already
            taken_kwh = snapshot.value(f"{asset}/session_energy_kwh")
            since_kwh = 0.0 if taken_kwh is None else max(taken_kwh - said.taken_kwh, 0.0)
            needed_kwh = max(said.needed_kwh - since_kwh, 0.0)
            departs = said.departs
            if said.at_once:
                departs = min(departs, snapshot.at + max(timedelta(hours=needed_kwh / point.limit_kw), SLOT))
            found[asset] = replace(session, needed_kwh=needed_kwh, departs_at=departs, guessed=False)
        for one in self.reservations:
            room = found.get(one.asset)
            if room is None or not isinstance(district.assets.get(one.asset), BikeRoom):
                continue
            if one.begins <= snapshot.at < one.ends < room.departs_at:
                found[one.asset] = replace(room, departs_at=one.ends)
        return found


def within_band(district: District, dwelling: Dwelling, setpoint_c: float | None, offset_k: float) -> float:
    """As much of an offset as keeps a home in its band; a resident's own choice outside it is pushed no further."""
    if setpoint_c is None:
        return 0.0
    band = district.comfort[dwelling.use]
    if offset_k > 0:
        return max(min(offset_k, OFFSET_K, band.ceiling_c - setpoint_c), 0.0)
    return min(max(offset_k, -OFFSET_K, band.floor_c - setpoint_c), 0.0)
