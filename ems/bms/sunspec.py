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
    """A point of a model: offset from the header, type, unit and scale to the quantity's unit, offset of its factor."""

    offset: int
    type: str
    unit: str
    scale: float
    factor: int | None = None


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
_METER = {
    "power_kw": _Item(18, "int16", "W", 0.001, 22),
    "frequency_hz": _Item(16, "int16", "Hz", 1.0, 17),
    "export_energy_kwh": _Item(38, "uint32", "Wh", 0.001, 54),
    "energy_kwh": _Item(46, "uint32", "Wh", 0.001, 54),
}
KNOWN: Mapping[int, tuple[str, Mapping[str, _Item]]] = {
    **dict.fromkeys((101, 102, 103), ("inverter", _INTEGER_INVERTER)),
    **dict.fromkeys((111, 112, 113), ("inverter", _FLOAT_INVERTER)),
    **dict.fromkeys((201, 202, 203, 204), ("meter", _METER)),
}
_NOT_IMPLEMENTED = {"int16": -(2**15), "uint32": 0}  # accumulators say 0


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
    """A device file's content for the first inverter or meter among the models; None without any."""
    for model in found:
        if model.number not in KNOWN:
            continue
        kind, items = KNOWN[model.number]
        registers = {}
        for quantity, item in items.items():
            scale = item.scale
            if item.factor is not None:
                words = await read(model.address + item.factor, 1)
                power = None if words is None else (words[0] ^ 0x8000) - 0x8000
                if power is None or power == NOT_A_FACTOR or not -10 <= power <= 10:
                    continue  # the device does not have this point
                scale = float(f"{scale:.0e}") * 10.0**power
            register: dict[str, Any] = {"function": 3, "address": model.address + item.offset, "type": item.type,
                                        "unit": item.unit, "scale": float(f"{scale:.6g}")}  # fmt: skip
            if item.type == "int16":
                register["nan"] = _NOT_IMPLEMENTED["int16"]
            registers[quantity] = register
        numbers = ", ".join(str(m.number) for m in found)
        return {
            "maker": "SunSpec",
            "model": f"{kind}, model {model.number} (found: {numbers})",
            "source": f"SunSpec Information Model Specification; {source}",
            "verified": False,
            "protocol": "modbus",
            "registers": registers,
        }
    return None
