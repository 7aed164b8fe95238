"""SunSpec: which models a device has and where, and a device type from them.

SunSpec Information Model Specification: "SunS" at one of three addresses, then models one after another, each with its
number and length, up to number 65535. In the integer models a power of ten stands beside the values (a scale factor);
it is read once here and becomes the `scale` of the register.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

BASES = (40000, 50000, 0)
MARK = [0x5375, 0x6E53]  # "SunS"
END = 0xFFFF
MODELS_AT_MOST = 60
NOT_A_FACTOR = -(2**15)

Read = Callable[[int, int], Awaitable[Sequence[int] | None]]  # address and count: words, or None where there are none


@dataclass(frozen=True)
class Model:
    """One model of a device: its number, the address of its header, and the length of what follows the header."""

    number: int
    address: int
    length: int


@dataclass(frozen=True)
class _Item:
    """A point of a model: offset from the header, type, unit and scale to the quantity's unit, offset of its factor.

    What can be written has limits: numbers, or the offsets of the ratings in the model that has them.
    """

    offset: int
    type: str
    unit: str
    scale: float
    factor: int | None = None
    limits: tuple[float, float] | None = None
    falls: bool = False
    note: str = ""


# Offsets as in the specification's model tables. Generation is positive in an inverter, negative in our points.
_INTEGER_INVERTER = {
    "power_kw": _Item(14, "int16", "W", -0.001, 15),
    "frequency_hz": _Item(16, "uint16", "Hz", 1.0, 17),
    "energy_kwh": _Item(24, "uint32", "Wh", 0.001, 26),
}
_FLOAT_INVERTER = {
    "power_kw": _Item(22, "float32", "W", -0.001),
    "frequency_hz": _Item(24, "float32", "Hz", 1.0),
    "energy_kwh": _Item(32, "float32", "Wh", 0.001),
}
_DER = {  # model 701
    "power_kw": _Item(10, "int16", "W", -0.001, 116),
    "frequency_hz": _Item(17, "uint32", "Hz", 1.0, 115),
    "energy_kwh": _Item(19, "uint64", "Wh", 0.001, 120),
    "charged_energy_kwh": _Item(23, "uint64", "Wh", 0.001, 120),
}
_METER = {
    "power_kw": _Item(18, "int16", "W", 0.001, 22),
    "frequency_hz": _Item(16, "int16", "Hz", 1.0, 17),
    "export_energy_kwh": _Item(38, "uint32", "Wh", 0.001, 54),
    "energy_kwh": _Item(46, "uint32", "Wh", 0.001, 54),
}
_STORAGE = {  # model 124
    "charge_share": _Item(8, "uint16", "%", 0.01, 22),
    "charge_limit_share": _Item(
        13, "int16", "%", 0.01, 25, (0.0, 1.0), note="InWRte; valid with bit 0 of storage_mode"
    ),
    "discharge_limit_share": _Item(
        12, "int16", "%", 0.01, 25, (0.0, 1.0), note="OutWRte; valid with bit 1 of storage_mode"
    ),
    "storage_mode": _Item(
        5, "uint16", "state", 1.0, None, (0.0, 3.0), note="0 free, 1 charge, 2 discharge, 3 both limited"
    ),
    "revert_s": _Item(15, "uint16", "s", 1.0, None, (0.0, 3600.0), note="InOutWRte_RvrtTms; 0 never reverts"),
}
_BATTERY = {  # model 802
    "charge_share": _Item(11, "uint16", "%", 0.01, 56),
    "health_share": _Item(13, "uint16", "%", 0.01, 58),
}
_CAPACITY = {  # model 713
    "stored_kwh": _Item(3, "uint16", "Wh", 0.001, 7, falls=True),
    "charge_share": _Item(4, "uint16", "%", 0.01, 8),
    "health_share": _Item(5, "uint16", "%", 0.01, 8),
}
_LIMIT = {  # model 123
    "limit_share": _Item(5, "uint16", "%", 0.01, 23, (0.0, 1.0), note="WMaxLimPct; valid with limit_on"),
    "limit_on": _Item(9, "uint16", "state", 1.0, None, (0.0, 1.0)),
    "limit_revert_s": _Item(7, "uint16", "s", 1.0, None, (0.0, 3600.0), note="WMaxLimPct_RvrtTms; 0 never reverts"),
}
_CONTROL = {  # model 704
    "limit_share": _Item(15, "uint16", "%", 0.01, 54, (0.0, 1.0), note="WMaxLimPct; valid with limit_on"),
    "limit_on": _Item(14, "uint16", "state", 1.0, None, (0.0, 1.0)),
    "limit_revert_s": _Item(18, "uint32", "s", 1.0, None, (0.0, 3600.0), note="WMaxLimPctRvrtTms; 0 never reverts"),
    "power_setpoint_kw": _Item(24, "int32", "W", -0.001, 55, note="WSet; valid with setpoint_on and setpoint_mode 1"),
    "setpoint_on": _Item(22, "uint16", "state", 1.0, None, (0.0, 1.0)),
    "setpoint_mode": _Item(23, "uint16", "state", 1.0, None, (0.0, 1.0), note="0 share of the largest power, 1 watts"),
    "revert_s": _Item(31, "uint32", "s", 1.0, None, (0.0, 3600.0), note="WSetRvrtTms; 0 never reverts"),
}
KNOWN: Mapping[int, tuple[str, Mapping[str, _Item]]] = {
    **dict.fromkeys((101, 102, 103), ("inverter", _INTEGER_INVERTER)),
    **dict.fromkeys((111, 112, 113), ("inverter", _FLOAT_INVERTER)),
    701: ("inverter", _DER),
    **dict.fromkeys((201, 202, 203, 204), ("meter", _METER)),
    713: ("storage", _CAPACITY),
    802: ("storage", _BATTERY),
    124: ("storage", _STORAGE),
    704: ("control", _CONTROL),
    123: ("control", _LIMIT),
}
_ORDER = list(KNOWN)  # of two models with one quantity the first is taken
# Where the largest powers stand: model 702 (charging, discharging, any), 124 (charging), 120 (any); with their factors.
_RATINGS = {702: ((10, 45), (11, 45), (2, 45)), 802: ((4, 54), (5, 54), None), 124: ((2, 18), None, None),
            120: ((23, 24), (25, 26), (3, 4))}  # fmt: skip
_NOT_IMPLEMENTED = {
    "int16": -(2**15), "uint16": 2**16 - 1, "int32": -(2**31), "uint32": 2**32 - 1, "uint64": 2**64 - 1,
}  # fmt: skip
_ACCUMULATORS = {101, 102, 103, 201, 202, 203, 204}  # their energies are not implemented at 0, and say no more


async def models(read: Read) -> tuple[Model, ...]:
    """The models of a device, in their order; none when it has no SunSpec map."""
    for base in BASES:
        mark = await read(base, 2)
        if mark is None or list(mark) != MARK:
            continue
        found: list[Model] = []
        address = base + 2
        while len(found) < MODELS_AT_MOST:
            header = await read(address, 2)
            if header is None or header[0] == END:
                break
            found.append(Model(header[0], address, header[1]))
            address += 2 + header[1]
        return tuple(found)
    return ()


async def described(found: Sequence[Model], read: Read, source: str) -> dict[str, Any] | None:
    """A device file's content for the inverter, the battery or the meter among the models; None without any.

    What can be written is described and left at `observe`: whether it is ours is for the building's file to say.
    """
    known = sorted((m for m in found if m.number in KNOWN), key=lambda m: _ORDER.index(m.number))
    kinds = {KNOWN[m.number][0] for m in known}
    if "inverter" in kinds:
        known = [m for m in known if KNOWN[m.number][0] != "meter"]  # a meter beside it is a device of its own
    if not kinds - {"control"}:
        return None
    registers: dict[str, Any] = {}
    largest = await _largest_powers(found, read)
    for model in known:
        for quantity, item in KNOWN[model.number][1].items():
            if item.offset < model.length + 2 and quantity not in registers:
                register = await _register(quantity, model, item, read, largest)
                if register is not None:
                    registers[quantity] = register
    if "storage" in kinds and "energy_kwh" in registers:  # of a battery both ways count
        registers["discharged_energy_kwh"] = registers.pop("energy_kwh")
    elif "charged_energy_kwh" in registers:
        del registers["charged_energy_kwh"]
    if not registers:
        return None
    what = "storage" if "storage" in kinds else "meter" if "meter" in kinds and "inverter" not in kinds else "inverter"
    numbers = ", ".join(str(m.number) for m in found)
    content = {
        "maker": "SunSpec",
        "model": f"{what}, models {', '.join(str(m.number) for m in known)} (found: {numbers})",
        "source": f"SunSpec Information Model Specification; {source}",
        "verified": False,
        "protocol": "modbus",
        "registers": registers,
    }
    if any("write" in register for register in registers.values()):
        content["watchdog"] = await _watchdog(registers, read)
    return content


async def _register(
    quantity: str, model: Model, item: _Item, read: Read, largest: tuple[float, float] | None
) -> dict[str, Any] | None:
    """One line of a device file; None for a point that the device does not have, or whose limits it does not tell."""
    scale = item.scale
    if item.factor is not None:
        words = await read(model.address + item.factor, 1)
        power = None if words is None else _signed(words[0])
        if power is None or power == NOT_A_FACTOR or not -10 <= power <= 10:
            return None
        scale = float(f"{scale:.0e}") * 10.0**power
    register: dict[str, Any] = {"function": 3, "address": model.address + item.offset, "type": item.type,
                                "unit": item.unit, "scale": float(f"{scale:.6g}")}  # fmt: skip
    if item.type in _NOT_IMPLEMENTED and not (model.number in _ACCUMULATORS and item.type == "uint32"):
        register["nan"] = _NOT_IMPLEMENTED[item.type]
    if item.falls:
        register["falls"] = True
    if item.note:
        register["note"] = item.note
    if quantity == "power_setpoint_kw":
        if largest is None:
            return None
        charge_kw, discharge_kw = largest
        register["write"] = {"minimum": -discharge_kw, "maximum": charge_kw, "release": 0}
    elif item.limits is not None:
        low, high = item.limits
        release = high if quantity in ("limit_share", "charge_limit_share", "discharge_limit_share") else low
        register["write"] = {"minimum": low, "maximum": high, "release": release}
    return register


async def _largest_powers(found: Sequence[Model], read: Read) -> tuple[float, float] | None:
    """Charging and discharging, kW, by the first model that tells; an inverter without storage does not charge."""
    by_number = {model.number: model for model in found}
    for number, (charging, discharging, any_power) in _RATINGS.items():
        model = by_number.get(number)
        if model is None:
            continue
        charge, discharge, largest = [
            None if place is None else await _rating(model, place, read) for place in (charging, discharging, any_power)
        ]
        discharge = discharge if discharge is not None else largest if largest is not None else charge
        if discharge is not None:
            return charge or 0.0, discharge
    return None


async def _rating(model: Model, place: tuple[int, int], read: Read) -> float | None:
    words, factor = await read(model.address + place[0], 1), await read(model.address + place[1], 1)
    if words is None or factor is None or words[0] == 0xFFFF or not -10 <= _signed(factor[0]) <= 10:
        return None
    return float(f"{words[0] * 10.0 ** _signed(factor[0]) / 1000:.6g}")


async def _watchdog(registers: Mapping[str, Any], read: Read) -> dict[str, Any]:
    """By the reversion times that stand in the device: the shortest, or none when one of them never reverts."""
    times = []
    for quantity in ("revert_s", "limit_revert_s"):
        if (register := registers.get(quantity)) is not None:
            words = await read(register["address"], 2 if register["type"] == "uint32" else 1)
            number = None if words is None else words[0] if len(words) == 1 else words[0] << 16 | words[1]
            times.append(0 if number is None or number == _NOT_IMPLEMENTED[register["type"]] else number)
    if times and min(times) > 0:
        return {"kind": "rewrite", "timeout_s": min(times)}
    return {"kind": "none"}


def _signed(word: int) -> int:
    return (word ^ 0x8000) - 0x8000
