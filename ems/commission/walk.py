"""The walk: point after point, read, compared, and, with a yes, written and given back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta

from ems.bms import Field
from ems.command import BACNET_PRIORITY, Command, Outcome, Overridden, Refused, Unreachable, Written
from ems.commission.compare import Verdict, compare
from ems.commission.person import Person
from ems.commission.record import PointRecord, Record
from ems.district import BacnetObject, Register, Wire
from ems.points import Sample, dimension, quantity_of, unit_label

STANDS = timedelta(minutes=10)  # a trial command at most, should nobody come back to it
KEEP_ALIVE_S = 5.0  # between two refreshes while somebody looks: a third of the shortest time-out of a device file
TRIES = 3  # to give a point back
Keep = Callable[[Record], None]


def place_of(wire: Wire) -> str:
    """Where a point lives, as somebody finds it with a tool of his own."""
    match wire.measure:
        case Register(function=function, address=address, type=form, written_address=written):
            apart = "" if written == address else f", written at register {written}"
            return f"{wire.bus.address} unit {wire.device.unit}, function {function}, register {address}, {form}{apart}"
        case BacnetObject():
            kind, instance = wire.object_id
            return f"{wire.bus.address} device {wire.bus.device_instance}, {kind} {instance}"


class Walk:
    """Through the wires of one building. `may_write` is why nothing may be written now, or None."""

    def __init__(
        self,
        record: Record,
        wires: Mapping[str, Wire],
        field: Field,
        person: Person,
        now: Callable[[], datetime],
        keep: Keep,
        may_not_write: str | None = None,
    ) -> None:
        self.record, self.wires, self.field, self.person = record, wires, field, person
        self.now, self.keep, self.may_not_write = now, keep, may_not_write

    async def run(self) -> None:
        """Every point that has no record yet, device by device. The record is kept after each."""
        done = self.record.known()
        left = [wire for point, wire in self.wires.items() if point not in done]
        device = None
        for number, wire in enumerate(left, 1):
            if wire.device is not device:
                device = wire.device
                await self._introduce(wire)
            self.person.tell(f"[{len(done) + number}/{len(self.wires)}] {wire.point}", "bold")
            made = await self.point(wire)
            self.record.keep(made)
            self.keep(self.record)
            style = {"passed": "green", "failed": "red"}.get(made.result, "yellow")
            self.person.tell(f"  {made.result}{': ' + made.why if made.why else ''}", style)

    async def _introduce(self, wire: Wire) -> None:
        """What the device says of itself, once."""
        if wire.device.asset not in self.record.devices:
            kind = wire.device.type
            told = await self.field.identity(wire.point)
            self.record.devices[wire.device.asset] = {
                "type": kind.name,
                "file": f"{kind.maker} {kind.model}",
                "source": kind.source,
                **told,
            }
        facts = self.record.devices[wire.device.asset]
        told_text = (
            ", ".join(v for k, v in facts.items() if k not in ("type", "file", "source")) or "says nothing of itself"
        )
        self.person.tell(f"\n{wire.device.asset}: {facts['file']}; {told_text}", "cyan")

    async def point(self, wire: Wire) -> PointRecord:
        """One point's record."""
        samples = await self.field.sweep(self.now())
        sample = samples[wire.point]
        unit = unit_label(wire.quantity)
        made = PointRecord(
            wire.point, wire.device.type.name, place_of(wire), unit, self.now().isoformat(timespec="seconds"),
            str(sample.quality), sample.value, sample.raw,
        )  # fmt: skip
        shown = _shown(sample, unit)
        sign = "  positive flows into the asset" if dimension(wire.quantity) in ("power", "current") else ""
        self.person.tell(f"  {shown}{sign}    [{made.place}]")
        faults: list[str] = []
        missing: list[str] = []
        if sample.value is None:
            faults.append(f"reads as {sample.quality}")
        else:
            self._second(wire, made, samples, shown, faults, missing)
        if wire.writable:
            await self._write(wire, made, shown, faults, missing)
        made.why = "; ".join([*faults, *missing])
        made.result = "failed" if faults else "partly" if missing else "passed"
        if faults:
            made.remark = self.person.remark(wire.point, made.why)
        return made

    def _second(
        self, wire: Wire, made: PointRecord, samples: Mapping[str, Sample], shown: str, faults: list[str],
        missing: list[str],
    ) -> None:  # fmt: skip
        """Hold the reading against the one that a person has."""
        assert made.value is not None
        made.second = given = self.person.second(wire.point, shown, made.unit)
        if not given:
            missing.append("no second source")
            return
        if given in self.wires:
            other = samples[given].value
            if other is None:
                missing.append(f"{given} shows nothing")
                return
            if dimension(quantity_of(given)) != dimension(wire.quantity):
                missing.append(f"{given} is a {dimension(quantity_of(given))}")
                return
            made.second_value = other
        else:
            try:
                made.second_value = float(given.replace(",", "."))
            except ValueError:
                missing.append(f"{given!r} is neither a number nor a point of this building")
                return
        found = compare(wire.quantity, made.value, made.second_value, wire.measure.resolution)
        made.comparison = str(found)
        if found.verdict is not Verdict.AGREES:
            faults.append(f"{found} (other source: {made.second_value:g} {made.unit})".rstrip())

    async def _write(self, wire: Wire, made: PointRecord, shown: str, faults: list[str], missing: list[str]) -> None:
        """Write, look, give back. Nothing is written without a yes."""
        watchdog = wire.device.type.watchdog
        made.holders = _named(await self.field.priorities(wire.point))
        if made.holders:
            held = ", ".join(f"{value:g} at priority {number}" for number, value in made.holders.items())
            self.person.tell(f"  held: {held}", "yellow")
        if not wire.commanded:
            made.write = f"not ours to write: {wire.authority}"
            return
        if watchdog is not None and watchdog.quantity == wire.quantity:
            made.write = "counted by the control process, not tried"
            return
        if self.may_not_write is not None:
            missing.append(f"not written: {self.may_not_write}")
            return
        value = self.person.may_write(wire.point, trial_value(wire, made.value), f"{wire.point} {shown}")
        if value is None:
            missing.append("not written: nobody said yes")
            return
        key = f"commission {wire.point} {made.at}"
        command = Command(key, wire.point, value, self.now() + STANDS, BACNET_PRIORITY, made.value, "commissioning")
        (outcome,) = await self.field.write([command])
        made.wrote, made.write = value, _said(outcome)
        match outcome:
            case Written():
                made.seen = await self._seen(wire, value)
                if wire.point not in self.field.standing:
                    missing.append(f"given back after {STANDS.total_seconds() / 60:g} min, before anybody had looked")
                elif made.seen == "no":
                    faults.append("the device did not do what stands in it")
            case Overridden(holder=holder):
                missing.append(f"{holder} holds it, so that our value does not count")
            case _:
                faults.append(made.write)
        await self._give_back(wire, made, command, faults)

    async def _seen(self, wire: Wire, value: float) -> str:
        """What the person saw. The way to the device takes longer than its watchdog waits, and than our dead-man does:
        meanwhile the command is kept alive, until it expires.
        """
        answer = _beside(lambda: self.person.seen(wire.point, value))
        beats: set[str] = set()
        while not answer.done():
            beats |= (await self.field.refresh(self.now())).keys() - {wire.point}
            await asyncio.wait({answer}, timeout=KEEP_ALIVE_S)
        until = self.now() + STANDS
        await self.field.write([Command(f"commission {beat} back", beat, None, until) for beat in sorted(beats)])
        return await answer

    async def _give_back(self, wire: Wire, made: PointRecord, command: Command, faults: list[str]) -> None:
        """Until the device says that it has; whatever came of the write, for it may have been taken all the same."""
        outcome: Outcome = Unreachable("not tried")
        for number in range(TRIES):
            back = Command(
                f"{command.key} back {number}", wire.point, None, self.now() + STANDS, reason="commissioning"
            )
            (outcome,) = await self.field.write([back])
            if isinstance(outcome, Written | Overridden):
                break
        made.given_back = _said(outcome)
        if not isinstance(outcome, Written | Overridden):
            faults.append(f"NOT GIVEN BACK: {made.given_back}")
            self.person.tell(f"  {wire.point} could not be given back: {made.given_back}", "bold red")
            return
        left = _named(await self.field.priorities(wire.point))
        if left is not None and left != made.holders:
            faults.append(f"other priorities than before: {left}, were {made.holders}")
        if left is None:  # a register has one value: what it was before us, or what it falls back to
            limits = wire.measure.write
            assert limits is not None
            if made.value is not None and abs(made.value - limits.release) > max(wire.measure.resolution, 1e-6):
                made.remark = f"stood at {made.value:g} before, stands at its release value {limits.release:g} now"


def trial_value(wire: Wire, shown: float | None) -> float:
    """A value to try: the other state, or a small step towards the middle of what may be written."""
    limits = wire.measure.write
    assert limits is not None
    here = limits.release if shown is None else min(max(shown, limits.minimum), limits.maximum)
    span = limits.maximum - limits.minimum
    whole = dimension(wire.quantity) in ("state", "count")
    step = 1.0 if whole else 0.05 * span
    if limits.ramp_per_slot is not None:
        step = min(step, limits.ramp_per_slot)
    if not whole and (unit := wire.measure.resolution) > 0:
        step = max(round(step / unit), 1) * unit
    up = here + step <= limits.maximum and here <= limits.minimum + span / 2
    return here + step if up else max(here - step, limits.minimum)


def _beside(ask: Callable[[], str]) -> asyncio.Future[str]:
    """The answer of somebody who may take his time, while the loop goes on."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[str] = loop.create_future()

    def settle(said: str | BaseException) -> None:
        if answer.done():
            return  # broken off
        if isinstance(said, BaseException):
            answer.set_exception(said)
        else:
            answer.set_result(said)

    def run() -> None:
        said: str | BaseException
        try:
            said = ask()
        except BaseException as fault:
            said = fault
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, said)

    # A daemon: whoever breaks off is not kept until a key is pressed.
    threading.Thread(target=run, name="asks a person", daemon=True).start()
    return answer


def _shown(sample: Sample, unit: str) -> str:
    if sample.value is not None:
        return f"{sample.value:g} {unit}".rstrip()
    return f"{sample.quality}" + (f", raw {sample.raw:g}" if sample.raw is not None else "")


def _named(holders: Mapping[int, float] | None) -> dict[str, float] | None:
    return None if holders is None else {str(number): value for number, value in sorted(holders.items())}


def _said(outcome: Outcome) -> str:
    match outcome:
        case Written(value):
            return "written" if value is None else f"read back {value:g}"
        case Overridden(found, holder):
            return f"overridden by {holder}" + ("" if found is None else f" at {found:g}")
        case Refused(why):
            return f"refused: {why}"
        case Unreachable(why):
            return f"unreachable: {why}"
        case _:
            return str(outcome)
