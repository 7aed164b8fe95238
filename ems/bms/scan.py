"""What answers on a network, and what it probably is: a proposal for a person, never a configuration by itself.

Nothing is written to any device, and only the named addresses are asked, one after another. Modbus: each unit is asked
for SunSpec and for the registers of every known device type; the types are ranked by how many of their values are what
they can be. BACnet: a Who-Is to each address, then its objects with names, units and present values.
"""

from __future__ import annotations

import ipaddress
import json
import re
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ems.bms.bacnet import Stack
from ems.bms.connection import Connection, Transactions
from ems.bms.frames import Question, Refusal
from ems.bms.reads import blocks
from ems.bms.sunspec import described, models
from ems.district import Bus, Device, DeviceType, Wire

TIMEOUT_S = 0.5
LIKELY = 0.8  # of a type's values must be what they can be
HOSTS_AT_MOST = 4096


@dataclass
class Found:
    """One device that answered. `types` are known device types that fit, best first, with the share that fits."""

    protocol: str
    host: str
    port: int
    unit: int | None = None  # Modbus
    instance: int | None = None  # BACnet
    name: str = ""
    types: list[tuple[str, float]] = field(default_factory=list)
    proposal: dict[str, Any] | None = None  # the content of a device file


@dataclass
class Survey:
    """What was asked and what was found so far; kept on disk so that a scan that was broken off goes on."""

    asked: list[str] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)

    @staticmethod
    def read(path: Path) -> Survey:
        """The survey in a file, or an empty one. Raises ValueError for a file that is none."""
        if not path.exists():
            return Survey()
        content = json.loads(path.read_text())
        found = [Found(**{**item, "types": [tuple(pair) for pair in item["types"]]}) for item in content["found"]]
        return Survey(content["asked"], found)

    def store(self, path: Path) -> None:
        torn = path.with_suffix(".tmp")
        torn.write_text(json.dumps(asdict(self), indent=1))
        torn.replace(path)


Progress = Callable[[str, int, int], None]  # what is asked, how many are through, of how many


def hosts(text: str) -> Iterator[str]:
    """Addresses of `10.0.0.7`, `10.0.0.7-20` or `10.0.0.0/24`. Raises ValueError with what would be right."""
    try:
        if "/" in text:
            network = ipaddress.ip_network(text, strict=False)
            members = [str(host) for host in network.hosts()] if network.num_addresses <= 2 * HOSTS_AT_MOST else []
        elif "-" in text:
            first, _, last = text.rpartition("-")
            start = ipaddress.ip_address(first)
            end = int(last) if last.isdigit() and int(last) < 256 else -1
            members = [str(start + n) for n in range(end - start.packed[-1] + 1)]
        else:
            members = [str(ipaddress.ip_address(text))]
    except ValueError:
        members = []
    if not 1 <= len(members) <= HOSTS_AT_MOST:
        raise ValueError(
            f"{text!r} is no range of 1 to {HOSTS_AT_MOST} addresses; give 10.0.0.7, 10.0.0.7-20 or 10.0.0.0/24"
        )
    yield from members


async def scan_modbus(
    addresses: Sequence[str],
    port: int,
    units: Sequence[int],
    types: Mapping[str, DeviceType],
    survey: Survey,
    keep: Callable[[], None],
    progress: Progress,
) -> None:
    """Asks each unit behind each address; adds to `survey` and calls `keep` after each address."""
    for done, host in enumerate(addresses):
        key = f"modbus {host}:{port} {units[0]}-{units[-1]}"
        progress(key, done, len(addresses))
        if key not in survey.asked:
            survey.found += await _units(host, port, units, types)
            survey.asked.append(key)
            keep()
    progress("modbus", len(addresses), len(addresses))


async def _units(host: str, port: int, units: Sequence[int], types: Mapping[str, DeviceType]) -> list[Found]:
    transactions = Transactions()
    connection: Connection | None = None
    found: list[Found] = []
    silent: set[int] = set()

    async def ask(unit: int, function: int, address: int, count: int) -> bytes | Refusal | None:
        """None where the unit does not answer, or not as Modbus."""
        nonlocal connection
        if unit in silent:
            return None
        if connection is None or not connection.is_open:
            connection = await Connection.connect(host, port, transactions, TIMEOUT_S)
        (answer,) = await connection.ask([Question(unit, function, address, count)])
        if isinstance(answer, bytes) or (isinstance(answer, Refusal) and answer.code not in (10, 11)):
            return answer
        silent.add(unit)
        return None

    try:
        for unit in units:
            if (here := await _unit(host, port, unit, types, ask)) is not None:
                found.append(here)
    except OSError:
        return found  # nobody takes a connection there, or not any more
    finally:
        if connection is not None:
            connection.close()
    return found


async def _unit(host: str, port: int, unit: int, types: Mapping[str, DeviceType], ask: Any) -> Found | None:
    async def words(address: int, count: int) -> Sequence[int] | None:
        answer = await ask(unit, 3, address, count)
        return struct.unpack(f">{count}H", answer) if isinstance(answer, bytes) else None

    if await ask(unit, 3, 0, 1) is None:
        return None
    found = Found("modbus", host, port, unit=unit)
    known = await models(words)
    if known:
        found.name = "SunSpec models " + ", ".join(str(model.number) for model in known)
        found.proposal = await described(known, words, f"scan of {host}:{port}, unit {unit}")
    for name, kind in types.items():
        if kind.protocol == "modbus" and (share := await _fits(kind, unit, host, port, ask)) >= LIKELY:
            found.types.append((name, round(share, 3)))
    found.types.sort(key=lambda item: -item[1] * (1 + len(types[item[0]].registers) / 100))
    return found


async def _fits(kind: DeviceType, unit: int, host: str, port: int, ask: Any) -> float:
    """The share of a type's points that this unit answers with what they can be; what proves nothing counts half."""
    bus = Bus("scan/bus", "modbus", host, port)
    device = Device("scan/device", kind, bus, unit=unit)
    wires = [Wire(f"scan/device/{q}", device, m, "observe") for q, m in kind.registers.items()]
    points = 0.0
    for block in blocks(wires)[unit]:
        answer = await ask(unit, block.function, block.address, block.count)
        if not isinstance(answer, bytes):
            return 0.0  # a device of this type has these registers
        for (_, wire), value in zip(block.wires, block.codec.values(answer), strict=True):
            low, high = wire.measure.minimum, wire.measure.maximum
            write = wire.measure.write
            low = write.minimum if low is None and write else low
            high = write.maximum if high is None and write else high
            if value != value:
                points += 0.5
            elif (low is None or value >= low) and (high is None or value <= high):
                points += 0.5 if value == 0 or low is None or high is None else 1.0
            else:
                return 0.0
    return min(1.0, points / len(wires) + 0.2)


# BACnet

_GUESSES: tuple[tuple[str, str, str, str], ...] = (
    # unit, words in the name, quantity, Brick class
    ("degrees-celsius", r"out(door|side)|oat|ext", "outdoor_temperature_c", "Outside_Air_Temperature_Sensor"),
    ("degrees-celsius", r"supply|depart|flow|vorlauf|sat\b", "supply_temperature_c", "Supply_Water_Temperature_Sensor"),
    ("degrees-celsius", r"return|retour|rat\b", "return_temperature_c", "Return_Water_Temperature_Sensor"),
    ("degrees-celsius", r"set.?point|consigne|sp\b", "setpoint_c", "Temperature_Setpoint"),
    ("degrees-celsius", r"", "temperature_c", "Temperature_Sensor"),
    ("delta-degrees-kelvin", r"", "offset_k", "Temperature_Setpoint"),
    ("degrees-kelvin", r"", "offset_k", "Temperature_Setpoint"),
    ("kilowatts", r"", "power_kw", "Power_Sensor"),
    ("kilowatt-hours", r"", "energy_kwh", "Energy_Sensor"),
    ("cubic-meters-per-hour", r"", "flow_m3_per_h", "Water_Flow_Sensor"),
    ("parts-per-million", r"", "co2_ppm", "CO2_Level_Sensor"),
    ("volts", r"", "voltage_v", "Voltage_Sensor"),
    ("amperes", r"", "current_a", "Current_Sensor"),
)  # fmt: skip
_UNITS = {
    "degrees-celsius": "degC", "delta-degrees-kelvin": "K", "degrees-kelvin": "K", "kilowatts": "kW",
    "kilowatt-hours": "kWh", "cubic-meters-per-hour": "m3/h", "parts-per-million": "ppm", "volts": "V",
    "amperes": "A",
}  # fmt: skip


def guess(kind: str, name: str, unit: str) -> tuple[str, str]:
    """Quantity and Brick class of a BACnet object by its type, name and unit.

    An object's value is taken as it is, so one in watts or percent is no `_kw` or `_share`: it stays a bare number.
    """
    if kind.startswith("binary"):
        return "status_on", "Command" if kind == "binary-output" else "Status"
    if kind.startswith("multi"):
        return "state_mode", "Mode_Command" if kind == "multi-state-output" else "Mode_Status"
    for wanted, words, quantity, brick in _GUESSES:
        if unit == wanted and re.search(words, name.lower()):
            return quantity, brick
    return "value_count", "Point"


async def scan_bacnet(
    addresses: Sequence[str], port: int, stack: Stack, survey: Survey, keep: Callable[[], None], progress: Progress
) -> None:
    """Asks each address who it is; adds its objects to `survey` and calls `keep` after each address."""
    for done, host in enumerate(addresses):
        key = f"bacnet {host}:{port}"
        progress(key, done, len(addresses))
        if key not in survey.asked:
            instance = await stack.who_is(f"{host}:{port}", TIMEOUT_S)
            if instance is not None:
                survey.found.append(await _station(host, port, instance, stack))
            survey.asked.append(key)
            keep()
    progress("bacnet", len(addresses), len(addresses))


async def _station(host: str, port: int, instance: int, stack: Stack) -> Found:
    found = Found("bacnet", host, port, instance=instance)
    found.name, listed = await stack.objects(f"{host}:{port}", instance)
    objects: dict[str, Any] = {}
    for item in listed:
        quantity, brick = guess(item.kind, item.name, item.unit)
        stem, _, suffix = (
            quantity.rpartition("_") if not quantity.endswith("m3_per_h") else (quantity[:-9], "", "m3_per_h")
        )
        name, n = quantity, 2
        while name in objects:
            name, n = f"{stem}_{n}_{suffix}", n + 1
        raw = _UNITS.get(item.unit, "state" if quantity.endswith(("_on", "_mode")) else "count")
        objects[name] = {"object": item.kind, "instance": item.instance, "unit": raw,
                         "note": f"{item.name}; Brick {brick}; showed {item.value} {item.unit}".rstrip()}  # fmt: skip
    found.proposal = {
        "maker": "to be named",
        "model": found.name or "BACnet device",
        "source": f"scan of {host}:{port}, device {instance}",
        "verified": False,
        "protocol": "bacnet",
        "objects": objects,
    }
    return found


def files_of(survey: Survey) -> dict[str, str]:
    """The proposals as files: `devices/NAME.yaml` for what no known type fits, and `buses.yaml` for all."""
    files: dict[str, str] = {}
    lines = [
        "# Proposal of a scan: check each line, give each device its asset, then move it into a building's file.",
        "buses:",
    ]
    buses: dict[tuple[str, str, int], list[Found]] = {}
    for found in survey.found:
        buses.setdefault((found.protocol, found.host, found.port), []).append(found)
    for (protocol, host, port), members in buses.items():
        lines += [
            f"  {protocol}-{host.replace('.', '-')}:",
            f"    protocol: {protocol}",
            f"    host: {host}",
            f"    port: {port}",
        ]
        if members[0].instance is not None:
            lines.append(f"    device_instance: {members[0].instance}")
        lines.append("    devices:")
        for found in members:
            place = f"unit: {found.unit}" if found.unit is not None else "offset: 0"
            own = f"scan-{host.replace('.', '-')}-{found.unit if found.unit is not None else found.instance}"
            if found.proposal is not None:
                files[f"devices/{own}.yaml"] = _yaml(found.proposal)
            type_ = own if found.proposal is not None else found.types[0][0] if found.types else "TO-BE-DESCRIBED"
            others = ", ".join(f"{name} {share:.0%}" for name, share in found.types)
            hint = "; ".join(part for part in (found.name, others and f"fits {others}") if part)
            lines.append(f"      - {{type: {type_}, asset: TO-BE-NAMED, {place}}}" + (f"  # {hint}" if hint else ""))
    files["buses.yaml"] = "\n".join(lines) + "\n"
    return files


def _yaml(content: Mapping[str, Any]) -> str:
    """A device file, one line for a point, as those that ship."""
    lines = ["# yaml-language-server: $schema=../schema/device.json"]
    for key, value in content.items():
        if isinstance(value, dict):
            lines.append(f"{key}:")
            lines += [f"  {name}: {json.dumps(item, ensure_ascii=False)}" for name, item in value.items()]
        else:
            lines.append(f"{key}: {json.dumps(value, ensure_ascii=False)}")
    return "\n".join(lines) + "\n"
