"""Device types: one YAML file each in `buildings/devices/`, data and no logic.

A Modbus type is a register map with 0-based wire addresses; a BACnet type is a list of objects with instances relative
to the offset at which a building places it. Every value is converted once, here described: raw x scale = the unit in
the quantity's name.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ems.assets import Entry
from ems.district.refusal import FaultError, near
from ems.points import RAW_UNITS, UNITS, dimension, is_quantity

Authority = Literal["ours", "shared", "observe"]
Finite = Annotated[float, Field(allow_inf_nan=False)]
RegisterType = Literal["int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"]
ObjectType = Literal[
    "analog-input", "analog-output", "analog-value", "binary-input", "binary-output", "binary-value",
    "multi-state-input", "multi-state-output", "multi-state-value",
]  # fmt: skip
WORDS: dict[str, int] = {
    "int16": 1, "uint16": 1, "int32": 2, "uint32": 2, "int64": 4, "uint64": 4, "float32": 2, "float64": 4,
}  # fmt: skip
COMMANDABLE = ("analog-output", "analog-value", "binary-output", "binary-value", "multi-state-output",
               "multi-state-value")  # fmt: skip


class Write(Entry):
    """That a point may be written, and within which limits, in the unit of its name."""

    minimum: Finite = Field(description="the lowest value that may be written")
    maximum: Finite = Field(description="the highest value that may be written")
    release: Finite = Field(
        description="what stands when nobody commands: relinquish default, or a register's safe value"
    )
    function: Literal[6, 16] = 16  # Modbus only
    address: Annotated[int, Field(ge=0, le=65535)] | None = Field(
        default=None, description="Modbus only: the holding register that is written, where another one is read"
    )
    ramp_per_slot: float | None = Field(default=None, gt=0)  # largest change in a quarter-hour
    least_on_s: float = Field(default=0, ge=0, description="above 0 it stays there at least so long")
    least_off_s: float = Field(default=0, ge=0, description="at 0 it stays at least so long")
    dead_band: float = Field(default=0, ge=0, description="a change no larger is not worth a write, but back to 0 is")
    wears_flash: bool = False  # then never rewritten with an equal value

    @model_validator(mode="after")
    def _ordered(self) -> Write:
        if self.minimum > self.maximum:
            raise FaultError("minimum", f"is {self.minimum:g}, above the maximum of {self.maximum:g}; swap them")
        if not self.minimum <= self.release <= self.maximum:
            raise FaultError(
                "release", f"is {self.release:g}; it must lie within {self.minimum:g} and {self.maximum:g}"
            )
        return self


class Measure(Entry):
    """What a register and an object have in common."""

    unit: str = Field(description="the unit of the raw value as the maker's manual says, for example W")
    minimum: Finite | None = None  # plausible range, in the unit of the name
    maximum: Finite | None = None
    jump_per_min: float | None = Field(default=None, gt=0)  # a larger change is believed when three readings agree
    frozen_after_h: float | None = Field(default=None, gt=0)  # one and the same value for so long is a dead sensor
    falls: bool = False  # energy or volume that also goes down: a stock or a session, no counter
    write: Write | None = None
    authority: Authority = "observe"
    note: str = ""

    @model_validator(mode="after")
    def _sensible(self) -> Measure:
        if self.unit not in RAW_UNITS:
            raise FaultError("unit", f"is {self.unit!r}, which is not known; use one of {', '.join(RAW_UNITS)}")
        low, high = self.minimum, self.maximum
        if low is not None and high is not None and low >= high:
            raise FaultError("minimum", f"is {low:g}, not below the maximum of {high:g}; swap them")
        if self.write is None and self.authority != "observe":
            raise FaultError("authority", f"is {self.authority}, but there is no write block; add one, or use observe")
        if self.write is not None and high is not None and self.write.maximum > high:
            raise FaultError(
                "write.maximum", f"is {self.write.maximum:g}; a plausible value is at most {high:g}, raise one"
            )
        if self.write is not None and low is not None and self.write.minimum < low:
            raise FaultError(
                "write.minimum", f"is {self.write.minimum:g}; a plausible value is at least {low:g}, lower one"
            )
        return self


class Register(Measure):
    """One Modbus value. `nan` is the raw integer that means not available; floats use NaN itself.

    The raw integer, or the part of it that `bits` names, times `scale` is the value. With `states` it is a code: what
    it means stands there, and a code that does not stand there is no value.
    """

    function: Literal[3, 4] = 3
    address: Annotated[int, Field(ge=0, le=65535)]
    type: RegisterType
    words: Literal["big", "little"] = "big"  # word order; bytes are big-endian on Modbus
    scale: Finite = 1.0
    nan: int | None = None
    bits: Annotated[tuple[int, int], Field(strict=False)] | None = Field(
        default=None, description="first and last bit of the value in the raw integer; bit 0 is the lowest"
    )
    states: dict[Annotated[int, Field(strict=False, ge=0)], Annotated[int, Field(ge=0)]] = Field(
        default={}, description="the device's codes, in quotes, and what each means among the states of the quantity"
    )
    turns_at: float | None = Field(default=None, gt=0)  # a counter's display starts again here, in the unit of the name

    @property
    def count(self) -> int:
        """How many 16-bit registers it takes."""
        return WORDS[self.type]

    @property
    def width(self) -> int:
        """Of how many bits the value is."""
        return 16 * self.count if self.bits is None else self.bits[1] - self.bits[0] + 1

    @property
    def written_address(self) -> int:
        """Where a command goes."""
        return self.address if self.write is None or self.write.address is None else self.write.address

    @property
    def resolution(self) -> float:
        """One step of the raw integer in the unit of the name; 0 for floats."""
        return 0.0 if self.type.startswith("float") else abs(self.scale)

    @model_validator(mode="after")
    def _fits(self) -> Register:
        if self.scale == 0:
            raise FaultError(
                "scale", "is 0, so every value would be 0; it turns the raw number into the unit of the name"
            )
        if self.address + self.count > 65536:
            raise FaultError("address", f"is {self.address}, and its {self.count} registers run past 65535; lower it")
        if self.write is not None and self.function != 3 and self.write.address is None:
            raise FaultError(
                "function",
                "is 4, but write is set; an input register cannot be written, use function 3, or give write.address",
            )
        if self.write is not None and self.write.address is not None:
            self._check_written(self.write.address)
        if self.bits is not None:
            self._check_bits(*self.bits)
        if self.states:
            self._check_states()
        return self

    def _check_written(self, at: int) -> None:
        """Raises FaultError where a command would go past the end, or into a part of what is read."""
        if at + self.count > 65536:
            raise FaultError("write.address", f"is {at}, and its {self.count} registers run past 65535; lower it")
        if self.function == 3 and abs(at - self.address) < self.count:
            raise FaultError(
                "write.address",
                f"is {at}, but registers {self.address} to {self.address + self.count - 1} are read for this point; "
                "remove it to write where it is read, or correct one of them",
            )

    def _check_bits(self, first: int, last: int) -> None:
        """Raises FaultError for bits that are not there, have no plain meaning, or would have to be written."""
        shown = f"is [{first}, {last}]"
        if not self.type.startswith("uint"):
            raise FaultError("bits", f"{shown}, but type is {self.type}; use uint{16 * self.count}, bits have no sign")
        if not 0 <= first <= last < 16 * self.count:
            raise FaultError(
                "bits",
                f"{shown}; give the first and the last, bit 0 is the lowest and {16 * self.count - 1} the highest",
            )
        if self.write is not None:
            raise FaultError(
                "bits",
                f"{shown}, but write is set; a register is written whole, and what its other bits should be is not "
                "known: remove write, or the bits",
            )

    def _check_states(self) -> None:
        """Raises FaultError where codes cannot come, or would mean what the quantity cannot be."""
        if RAW_UNITS[self.unit] != "state" or self.scale != 1 or self.type.startswith("float"):
            raise FaultError(
                "states",
                f"is given for {self.type}, unit {self.unit}, scale {self.scale:g}; codes are whole numbers, unit "
                "state, without a scale: remove states, or correct the others",
            )
        if self.write is not None:
            raise FaultError(
                "states",
                "is given, but write is set; several codes may mean one state, so which to write is not known: remove "
                "states, or write",
            )
        for code, state in self.states.items():
            if code >= 2**self.width:
                raise FaultError("states", f"knows code {code}, which {self.width} bits cannot hold; correct it")
            low, high = self.minimum, self.maximum
            if (low is not None and state < low) or (high is not None and state > high):
                raise FaultError(
                    "states", f"makes {state} of code {code}, outside minimum and maximum; correct one of them"
                )


class BacnetObject(Measure):
    """One BACnet object; `instance` counts from the offset at which a building places the device."""

    object: ObjectType
    instance: Annotated[int, Field(ge=0, le=4194302)]
    cov_increment: float | None = Field(default=None, gt=0)
    resolution: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _writable(self) -> BacnetObject:
        if self.write is not None and self.object not in COMMANDABLE:
            raise FaultError("object", f"is {self.object}, but write is set; an input cannot be written, use an output")
        if self.write is not None and self.write.address is not None:
            raise FaultError(
                "write.address", f"is {self.write.address}; a BACnet object is written where it is read, remove it"
            )
        return self


class Watchdog(Entry):
    """How the device notices that we are gone.

    `rewrite`: a command not repeated within `timeout_s` falls back to its release value. `counter`: the device watches
    `quantity`, which we count up; when it stands still for `timeout_s` our commands are dropped. `covers: station`
    includes all devices of the same BACnet station. `station`: another device of the station watches for this one.
    `none`: the device keeps its last command for ever.
    """

    kind: Literal["rewrite", "counter", "station", "none"]
    timeout_s: float = Field(default=0, ge=0)
    quantity: str | None = None
    covers: Literal["device", "station"] = "device"

    @model_validator(mode="after")
    def _complete(self) -> Watchdog:
        if self.kind in ("rewrite", "counter") and self.timeout_s <= 0:
            raise FaultError("timeout_s", f"is {self.timeout_s:g}, but kind is {self.kind}; give the device's time-out")
        if self.kind == "counter" and not self.quantity:
            raise FaultError("quantity", "is missing, but kind is counter; name the point that we count up")
        return self


class Cov(Entry):
    """That a BACnet station is asked to tell of changes: of states, and of what has a `cov_increment`."""

    lifetime_s: float = Field(
        default=300, ge=60, le=28800, description="of a subscription; it is renewed at half of it"
    )
    floor_s: float = Field(default=900, gt=0, description="what was neither told nor read for so long is read")


class DeviceType(Entry):
    """A file of `buildings/devices/`."""

    name: str = ""
    maker: str
    model: str
    source: str = Field(min_length=3, description="the manual and its revision, or assumption")
    verified: bool = Field(description="true once somebody has read a real one with this file")
    protocol: Literal["modbus", "bacnet"]
    registers: dict[str, Register] = Field(default={})
    objects: dict[str, BacnetObject] = Field(default={})
    watchdog: Watchdog | None = None
    cov: Cov | None = Field(default=None, description="BACnet: subscribe to changes; without it everything is polled")
    maximum_registers: int = Field(default=125, ge=1, le=125)  # in one request
    no_gaps: bool = False  # holes between registers answer with an exception

    @property
    def points(self) -> dict[str, Register] | dict[str, BacnetObject]:
        return self.registers if self.protocol == "modbus" else self.objects

    def jump_per_min(self, quantity: str) -> float | None:
        """The largest change in a minute, in the unit of the quantity; None where nothing is known of it.

        A counter of energy without one takes at most the largest plausible power of its device: a meter that goes on
        from a much higher number is another meter, and not a bill.
        """
        measure = self.points[quantity]
        if measure.jump_per_min is not None or measure.falls or not quantity.endswith("energy_kwh"):
            return measure.jump_per_min
        powers = (self.points.get(name) for name in (quantity.replace("energy_kwh", "power_kw"), "power_kw"))
        limits = [abs(x) for power in powers if power for x in (power.minimum, power.maximum) if x is not None]
        return max(limits) / 60 if limits else None

    @model_validator(mode="after")
    def _consistent(self) -> DeviceType:
        used, other = ("registers", "objects") if self.protocol == "modbus" else ("objects", "registers")
        if getattr(self, other):
            raise FaultError(other, f"is given, but protocol is {self.protocol}; move its lines to {used}")
        if not self.points:
            raise FaultError(used, "is empty; list at least one")
        for quantity, measure in self.points.items():
            _check_name(f"{used}.{quantity}", quantity, measure)
        if self.cov is not None and self.protocol == "modbus":
            raise FaultError("cov", "is given, but protocol is modbus, which tells of nothing by itself; remove it")
        self._refuse_overlaps()
        if any(m.write for m in self.points.values()) and self.watchdog is None:
            raise FaultError(
                "watchdog", "is missing, but something can be written; say how the device falls back, or kind: none"
            )
        if self.watchdog and self.watchdog.quantity and self.watchdog.quantity not in self.points:
            counted = self.watchdog.quantity
            raise FaultError(
                "watchdog.quantity", f"is {counted}, which is not among the {used}{near(counted, self.points)}"
            )
        return self

    def _refuse_overlaps(self) -> None:
        taken: dict[tuple[str, int], str] = {}
        for quantity, register in self.registers.items():
            places = [("address", register.function, register.address)]
            if register.write is not None and register.write.address is not None:
                places.append(("write.address", 3, register.write.address))  # only holding registers are written
            for key, function, first in places:
                for address in range(first, first + register.count):
                    owner = taken.setdefault((str(function), address), quantity)
                    if owner != quantity:
                        raise FaultError(
                            f"registers.{quantity}.{key}",
                            f"takes register {address}, which {owner} has; move one of them",
                        )
        for quantity, item in self.objects.items():
            owner = taken.setdefault((item.object, item.instance), quantity)
            if owner != quantity:
                raise FaultError(
                    f"objects.{quantity}.instance",
                    f"takes {item.object} {item.instance}, which {owner} has; move one of them",
                )


def _check_name(key: str, quantity: str, measure: Measure) -> None:
    """Raises FaultError when a name is no name, ends in no unit, or in another one than the raw value has."""
    if not is_quantity(quantity):
        raise FaultError(key, "is no name of a quantity; use lower case words joined by underscores")
    try:
        wanted = dimension(quantity)
    except ValueError:
        endings = ", ".join(f"_{suffix}" for suffix in sorted(UNITS))
        raise FaultError(key, f"ends in no unit; end it in one of {endings}") from None
    given = RAW_UNITS[measure.unit]
    if wanted != given and not {wanted, given} <= {"share", "count", "state"}:
        fitting = ", ".join(unit for unit, what in RAW_UNITS.items() if what == wanted)
        raise FaultError(
            f"{key}.unit",
            f"is {measure.unit}, which is {given}, but the name says {wanted}; use {fitting or 'another name'}",
        )
