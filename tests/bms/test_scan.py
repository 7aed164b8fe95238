"""A scan finds what is served, says what it probably is, goes on where it was broken off, and writes nothing."""

from __future__ import annotations

import asyncio
import struct
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

from ems.bms.bacnet import Stack, own_address
from ems.bms.scan import Survey, files_of, guess, hosts, scan_bacnet, scan_modbus
from ems.bms.scan_command import scan
from ems.bms.sunspec import Model, described, models
from ems.district import Bus
from ems.district.device import DeviceType
from ems.simulate.servers import FieldServers
from tests.served_district import StillWorld, part_of_district, whole_district

NET = 122
PROJECT = Path(__file__).parents[2]


def silent(what: str, done: int, total: int) -> None:
    """Nobody watches."""


class Registers(asyncio.Protocol):
    """A device with holding registers, and exception 2 everywhere else."""

    def __init__(self, words: dict[int, int]) -> None:
        self.words = words

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        transaction, _, _, unit, function, address, count = struct.unpack(">HHHBBHH", data)
        found = [self.words.get(address + n) for n in range(count)]
        if function != 3 or None in found:
            self.transport.write(struct.pack(">HHHBBB", transaction, 0, 3, unit, function | 0x80, 2))
        else:
            self.transport.write(
                struct.pack(f">HHHBBB{count}H", transaction, 0, 3 + 2 * count, unit, function, 2 * count, *found)
            )


def sunspec_inverter() -> dict[int, int]:
    """Models 1 (66 registers) and 103 (50) at 40000: 5.21 kW with a factor of -1, 50.01 Hz, 123456 kWh."""
    words = dict.fromkeys(range(40000, 40126), 0)
    words |= {40000: 0x5375, 40001: 0x6E53, 40002: 1, 40003: 66, 40070: 103, 40071: 50, 40122: 0xFFFF, 40123: 0}
    words |= {40084: 52100, 40085: 0xFFFF, 40086: 5001, 40087: 0xFFFE, 40094: 1883, 40095: 52352, 40096: 0}
    words[40084] = 5210
    words[40085] = 0
    return words


def test_an_inverter_that_speaks_sunspec_is_described_by_its_models() -> None:
    async def run() -> Survey:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Registers(sunspec_inverter()), f"127.{NET}.7.1", 15051)
        survey = Survey()
        await scan_modbus([f"127.{NET}.7.1"], 15051, [1], whole_district().device_types, survey, lambda: None, silent)
        server.close()
        return survey

    (found,) = asyncio.run(asyncio.wait_for(run(), 20)).found
    assert found.name == "SunSpec models 1, 103"
    assert found.proposal is not None
    kind = DeviceType.model_validate(found.proposal)
    power, hertz, energy = (kind.registers[q] for q in ("power_kw", "frequency_hz", "energy_kwh"))
    assert (power.address, power.scale) == (40084, -0.001)
    assert (hertz.address, hertz.scale) == (40086, 0.01)
    assert (energy.address, energy.type, energy.scale) == (40094, "uint32", 0.001)


def laid_out(models_and_points: dict[int, tuple[int, dict[int, int]]]) -> dict[int, int]:
    """A SunSpec device from 40000: for each model its length, and words by their offset from its header."""
    words = {40000: 0x5375, 40001: 0x6E53}
    at = 40002
    for number, (length, points) in models_and_points.items():
        words |= dict.fromkeys(range(at, at + length + 2), 0)
        words |= {at: number, at + 1: length} | {at + offset: word & 0xFFFF for offset, word in points.items()}
        at += length + 2
    return words | {at: 0xFFFF, at + 1: 0}


# Watts in tens (factor 1 at 116), hertz in hundredths; rated 30 kW; set point in watts, reverting after 120 s; 5 000 Wh
# there of 10 000 in tens of Wh, 49.8 %.
BATTERY_2018 = {
    1: (66, {}),
    701: (153, {10: 450, 17: 0, 18: 5001, 22: 7, 26: 9, 115: -2, 116: 1, 120: 3}),
    702: (50, {2: 30, 10: 25, 11: 30, 45: 3}),
    704: (65, {15: 1000, 32: 120, 19: 120, 54: -1, 55: 0}),
    713: (7, {2: 1000, 3: 500, 4: 498, 5: 990, 7: 1, 8: -1}),
}
# An inverter of before: 103 with 5.2 kW, 120 rated 10 kW, 124 with 62 % and no reversion time.
BATTERY_2012 = {
    1: (66, {}),
    103: (50, {14: 5200, 15: 0, 16: 5000, 17: -2, 26: 0}),
    120: (26, {3: 10, 4: 3, 23: 8, 24: 3, 25: 9, 26: 3}),
    124: (24, {8: 620, 12: 10000, 13: 10000, 15: 0, 22: -1, 25: -2}),
    203: (105, {}),
}


def described_as(layout: dict[int, tuple[int, dict[int, int]]]) -> DeviceType:
    words = laid_out(layout)

    async def read(address: int, count: int) -> list[int] | None:
        found = [words.get(address + n) for n in range(count)]
        return None if None in found else [w for w in found if w is not None]

    async def run() -> DeviceType:
        content = await described(await models(read), read, "a test")
        assert content is not None
        return DeviceType.model_validate(content)

    return asyncio.run(run())


def test_a_battery_is_described_with_what_can_be_written_in_it() -> None:
    kind = described_as(BATTERY_2018)
    assert "storage" in kind.model
    power, setpoint, stored = (kind.registers[q] for q in ("power_kw", "power_setpoint_kw", "stored_kwh"))
    assert (power.address, power.scale, power.nan) == (40080, -0.01, -32768)
    assert (setpoint.address, setpoint.type, setpoint.scale) == (40301, "int32", -0.001)
    assert setpoint.write is not None and (setpoint.write.minimum, setpoint.write.maximum) == (-30, 25)
    assert (stored.scale, stored.falls) == (0.01, True)
    assert kind.registers["charge_share"].scale == 0.001
    assert {"discharged_energy_kwh", "charged_energy_kwh"} < kind.registers.keys()
    assert kind.watchdog is not None and (kind.watchdog.kind, kind.watchdog.timeout_s) == ("rewrite", 120)
    assert {register.authority for register in kind.registers.values()} == {"observe"}  # a person says what is ours


def test_the_shipped_file_stands_where_the_models_say() -> None:
    shipped, found = whole_district().device_types["sunspec-storage"], described_as(BATTERY_2018)
    for quantity, register in shipped.registers.items():
        theirs = found.registers[quantity]
        assert (register.address, register.type, register.nan) == (theirs.address, theirs.type, theirs.nan), quantity
        assert register.scale * theirs.scale > 0


def test_an_older_battery_without_a_reversion_time_has_no_watchdog() -> None:
    kind = described_as(BATTERY_2012)
    assert kind.registers["charge_share"].scale == 0.001
    limit = kind.registers["charge_limit_share"]
    assert limit.write is not None and (limit.scale, limit.write.release) == (0.0001, 1)
    assert kind.watchdog is not None and kind.watchdog.kind == "none"  # a building says why it may be commanded
    assert "power_setpoint_kw" not in kind.registers and "export_energy_kwh" not in kind.registers


def test_a_set_point_without_known_limits_is_not_described() -> None:
    layout = {number: item for number, item in BATTERY_2018.items() if number != 702}
    assert "power_setpoint_kw" not in described_as(layout).registers


def test_models_are_walked_to_their_end() -> None:
    async def read(address: int, count: int) -> list[int] | None:
        words = [sunspec_inverter().get(address + n) for n in range(count)]
        return None if None in words else [w for w in words if w is not None]

    assert asyncio.run(models(read)) == (Model(1, 40002, 66), Model(103, 40070, 50))


def test_units_behind_a_gateway_are_recognised_and_the_scan_goes_on(tmp_path: Path) -> None:
    async def run() -> tuple[Survey, list[int]]:
        district = part_of_district(NET, ("parking",))
        world = StillWorld(district)
        for wire in district.wires.values():
            if wire.quantity == "voltage_v":
                world.show(wire.point, 231.0)
            if wire.quantity in ("power_kw", "current_a"):
                world.show(wire.point, -3.0 if "canopy" in wire.point else 7.0)
        servers = FieldServers(district, world)
        await servers.start()
        bus = district.buses["parking/electricity"]
        path = tmp_path / "survey.json"
        survey = Survey()
        types = whole_district().device_types
        await scan_modbus([bus.host], bus.port, range(1, 7), types, survey, lambda: survey.store(path), silent)
        again = Survey.read(path)
        asked: list[int] = []
        await scan_modbus([bus.host], bus.port, range(1, 7), types, again, lambda: asked.append(1), silent)
        await servers.stop()
        assert world.commands == []
        assert again == survey
        return survey, asked

    survey, asked = asyncio.run(asyncio.wait_for(run(), 60))
    assert asked == []  # what was asked is not asked again
    by_unit = {found.unit: [name for name, _ in found.types] for found in survey.found}
    assert sorted(by_unit) == [1, 2, 3, 4]
    for unit, kind in ((1, "schneider-iem3155"), (2, "eastron-sdm72"), (3, "sma-inverter"), (4, "battery-inverter")):
        assert kind in by_unit[unit], by_unit
    proposal = yaml.safe_load(files_of(survey)["buses.yaml"])
    ((bus, content),) = proposal["buses"].items()
    assert bus.startswith("modbus-127") and [d["unit"] for d in content["devices"]] == [1, 2, 3, 4]


def test_a_bacnet_station_tells_its_objects() -> None:
    async def run() -> Survey:
        district = part_of_district(NET, ("creche",))
        world = StillWorld(district)
        servers = FieldServers(district, world)
        await servers.start()
        bus = district.buses["creche/controller"]
        stack = Stack(own_address([bus]))
        await stack.start()
        survey = Survey()
        await scan_bacnet([bus.host, f"127.{NET}.250.250"], bus.port, stack, survey, lambda: None, silent)
        await stack.stop()
        await servers.stop()
        assert world.commands == []
        return survey

    survey = asyncio.run(asyncio.wait_for(run(), 60))
    (found,) = survey.found
    bus: Bus = part_of_district(NET, ("creche",)).buses["creche/controller"]
    assert found.instance == bus.device_instance and found.name == "creche/controller"
    wires = [w for w in part_of_district(NET).wires.values() if w.bus.name == bus.name]
    assert found.proposal is not None and len(found.proposal["objects"]) == len(wires)
    kind = DeviceType.model_validate(found.proposal)
    assert any(q.startswith("temperature") and m.unit == "degC" for q, m in kind.objects.items())
    assert len(survey.asked) == 2
    files = files_of(survey)
    name = next(f for f in files if f.startswith("devices/"))
    assert DeviceType.model_validate(yaml.safe_load(files[name])) == kind


def test_ranges_of_addresses() -> None:
    assert list(hosts("10.0.0.7")) == ["10.0.0.7"]
    assert list(hosts("10.0.0.254-255")) == ["10.0.0.254", "10.0.0.255"]
    assert list(hosts("10.0.0.0/30")) == ["10.0.0.1", "10.0.0.2"]
    for wrong in ("10.0.0", "10.0.0.9-7", "10.0.0.7-999", "10.0.0.0/8", "everywhere"):
        with pytest.raises(ValueError, match="give 10"):
            list(hosts(wrong))


def test_a_quantity_is_guessed_by_unit_and_name() -> None:
    assert guess("analog-input", "CTA1 T. départ", "degrees-celsius") == ("temperature_c", "Temperature_Sensor")
    assert guess("analog-input", "HX supply temp", "degrees-celsius")[0] == "supply_temperature_c"
    assert guess("analog-value", "Consigne salle", "degrees-celsius")[0] == "setpoint_c"
    assert guess("binary-output", "P1", "")[0] == "status_on"
    assert guess("analog-input", "???", "no-units") == ("value_count", "Point")


def test_the_command_proposes_files(tmp_path: Path) -> None:
    """`ems scan` in a process of its own, against the servers of this one."""

    async def run() -> None:
        district = part_of_district(NET, ("parking",))
        servers = FieldServers(district, StillWorld(district))
        await servers.start()
        bus = district.buses["parking/electricity"]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ems", "scan", bus.host, "--protocol", "modbus", "--modbus-port", str(bus.port),
            "--units", "1-5", "--into", str(tmp_path / "scan"), cwd=PROJECT,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await asyncio.wait_for(process.communicate(), 100)
        assert process.returncode == 0, err.decode()
        assert "4 devices" in out.decode()
        await servers.stop()

    asyncio.run(run())
    assert (tmp_path / "scan" / "survey.json").exists()
    assert "eastron-sdm72" in (tmp_path / "scan" / "buses.yaml").read_text()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [(("--modbus-port", "999999"), "65535"), (("--units", "0-999"), "no range of units from 1 to 255")],
)
def test_what_cannot_be_asked_is_refused_before_anything_is(tmp_path: Path, wrong: tuple[str, str], said: str) -> None:
    command = typer.Typer()
    command.command()(scan)
    answer = CliRunner().invoke(command, ["127.0.0.1", "--into", str(tmp_path / "scan"), *wrong])
    assert answer.exit_code == 2 and said in " ".join(answer.output.replace("│", " ").split())
    assert not (tmp_path / "scan").exists()
