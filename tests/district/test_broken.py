"""A wrong file is refused with a sentence that names file, line, key, value and remedy.

Each example changes one thing in the district of `mini/`: in `file`, `old` becomes `new`.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from ems.district import DistrictError, Refusal, read_district

MINI = Path(__file__).parent / "mini"
COURT = (MINI / "court.yaml").read_text(encoding="utf-8")
METER = (MINI / "devices/meter.yaml").read_text(encoding="utf-8")
FABRIC = "fabric: {" + COURT.partition("fabric: {")[2].partition("}")[0] + "}"


@dataclass(frozen=True)
class Broken:
    """One example, and what the refusal must name."""

    title: str
    file: str
    old: str
    new: str
    key: str
    says: tuple[str, ...]  # value and remedy


EXAMPLES = [
    # Keys
    Broken(
        "unknown key",
        "court.yaml",
        "capacity_kwh: 50, charge_limit_kw",
        "capacity_kwh: 50, charge_limmit_kw",
        "assets.battery.charge_limmit_kw",
        ("is not a key that is known here", "did you mean charge_limit_kw?"),
    ),
    Broken(
        "unknown key that may be left out",
        "court.yaml",
        "limit_kw: 22",
        "limit_kw: 22, notes: thick",
        "assets.cable.notes",
        ("is not a key that is known here; did you mean note?",),
    ),
    Broken(
        "missing key",
        "court.yaml",
        "capacity_kwh: 50, charge_limit_kw: 25",
        "capacity_kwh: 50",
        "assets.battery.charge_limit_kw",
        ("is missing; add it",),
    ),
    Broken(
        "key given twice",
        "court.yaml",
        "use: housing\n",
        "use: housing\nuse: senior\n",
        "",
        ("key 'use' stands twice, first in line 2; keep one",),
    ),
    Broken(
        "unknown key at the top",
        "district.yaml",
        "name: mini",
        "name: mini\ntimezone: Europe/Paris",
        "timezone",
        ("is not a key that is known here; there is name, label",),
    ),
    Broken("name of a type in its file", "devices/meter.yaml", "maker:", "name: x\nmaker:", "name", ("remove it",)),
    Broken(
        "name of an asset twice",
        "court.yaml",
        "roof: {type",
        "roof: {name: top, type",
        "assets.roof.name",
        ("is 'top'; an asset is called by its key, remove it",),
    ),
    Broken("key that is no text", "district.yaml", "name: mini", "name: mini\n1: one", "", ("write it as a text",)),
    # Values
    Broken(
        "signed limit",
        "court.yaml",
        "charge_limit_kw: 25, discharge",
        "charge_limit_kw: -25, discharge",
        "assets.battery.charge_limit_kw",
        ("is -25; it must be above 0", "the sign is in the flow"),
    ),
    Broken(
        "limit of nothing",
        "court.yaml",
        "heat_limit_kw: 30",
        "heat_limit_kw: 0",
        "assets.substation.heat_limit_kw",
        ("is 0; it must be above 0",),
    ),
    Broken(
        "tilt upside down",
        "court.yaml",
        "tilt_deg: 10",
        "tilt_deg: 100",
        "assets.roof.tilt_deg",
        ("is 100; it must be at most 90",),
    ),
    Broken(
        "word for a number",
        "court.yaml",
        "peak_kw: 20",
        "peak_kw: twenty",
        "assets.roof.peak_kw",
        ("is 'twenty'; write a number",),
    ),
    Broken(
        "yes for a number",
        "court.yaml",
        "peak_kw: 20",
        "peak_kw: yes",
        "assets.roof.peak_kw",
        ("is true; write a number",),
    ),
    Broken(
        "number in quotes",
        "court.yaml",
        "peak_kw: 20",
        'peak_kw: "20"',
        "assets.roof.peak_kw",
        ("is '20'; write a number",),
    ),
    Broken(
        "limit without end",
        "devices/charger.yaml",
        "maximum: 32",
        "maximum: .inf",
        "registers.current_limit_a.write.maximum",
        ("is inf; write a finite number",),
    ),
    Broken(
        "half a room",
        "court.yaml",
        "rooms: 2",
        "rooms: 2.5",
        "dwellings.flat-1.rooms",
        ("is 2.5; write a whole number",),
    ),
    Broken("empty value", "court.yaml", "surface_m2: 50", "surface_m2: ", "dwellings.flat-1.surface_m2", ("is empty",)),
    Broken(
        "unknown word",
        "court.yaml",
        "orientation: south",
        "orientation: southern",
        "dwellings.flat-1.orientation",
        ("is 'southern'; write one of north,", "did you mean south?"),
    ),
    Broken(
        "short PRM",
        "court.yaml",
        '"10000000000001"',
        '"1001"',
        "dwellings.flat-1.prm",
        ("is '1001'; write its 14 digits",),
    ),
    Broken(
        "PRM without quotes",
        "court.yaml",
        '"10000000000001"',
        "10000000000001",
        "dwellings.flat-1.prm",
        ("is 10000000000001; write a text, in quotes",),
    ),
    Broken(
        "unknown asset type",
        "court.yaml",
        "{type: battery",
        "{type: batery",
        "assets.battery.type",
        ("is 'batery', which is no asset type; did you mean battery?",),
    ),
    Broken(
        "no asset type",
        "court.yaml",
        "{type: battery, ",
        "{",
        "assets.battery.type",
        ("is missing; write one of base-load, battery, bike-room",),
    ),
    Broken(
        "list for a mapping",
        "court.yaml",
        "label: {fr: La cour, en: The court}",
        "label: [La cour]",
        "label",
        ("is a list; write a mapping",),
    ),
    Broken(
        "date that is none",
        "contracts/landlord.yaml",
        "valid_from: 2025-08-01",
        "valid_from: soon",
        "valid_from",
        ("is 'soon'; write a date as 2026-01-31",),
    ),
    Broken(
        "time zone that is none",
        "district.yaml",
        "altitude_m: 10",
        "altitude_m: 10, time_zone: Paris",
        "place.time_zone",
        ("is 'Paris'", "write one as Europe/Paris"),
    ),
    # Figures that contradict each other
    Broken(
        "fuse below subscription",
        "court.yaml",
        "subscribed_kw: 60",
        "subscribed_kw: 90",
        "assets.landlord.physical_limit_kw",
        ("is 80; it must be at least subscribed_kw, which is 90 kW",),
    ),
    Broken(
        "tepid tank",
        "court.yaml",
        "daily_draw_m3: 0.3",
        "daily_draw_m3: 0.3, minimum_c: 45",
        "assets.tank.minimum_c",
        ("is 45; a recirculated tank stays at 55",),
    ),
    Broken(
        "cooling where heating still runs",
        "court.yaml",
        "cooling_occupied_c: 26",
        "cooling_occupied_c: 20",
        "assets.studio.cooling_occupied_c",
        ("is 20; 2 K above heating, so at least 21",),
    ),
    Broken(
        "one cooling set point",
        "court.yaml",
        "    cooling_unoccupied_c: 30\n",
        "",
        "assets.studio.cooling_unoccupied_c",
        ("is missing; give both cooling set points",),
    ),
    Broken(
        "cooled zone without cold",
        "court.yaml",
        ", cold_limit_kw: 20",
        "",
        "assets.studio.cooling_occupied_c",
        ("court/substation gives no cold; give that a cold_limit_kw",),
    ),
    Broken(
        "eighth day",
        "court.yaml",
        "days: [1, 2, 3, 4, 5]",
        "days: [1, 8]",
        "assets.studio.opening.days",
        ("holds 8; write 1 to 7",),
    ),
    Broken(
        "open over midnight",
        "court.yaml",
        "from_hour: 8, until_hour: 18}",
        "from_hour: 22, until_hour: 6}",
        "assets.studio.opening.until_hour",
        ("is 6, before from_hour, which is 22", "write two hours of one day, or 0 and 24"),
    ),
    Broken(
        "holidays now and then",
        "court.yaml",
        "from_hour: 8, until_hour: 18}",
        "from_hour: 8, until_hour: 18, closed_on_holidays: sometimes}",
        "assets.studio.opening.closed_on_holidays",
        ("is 'sometimes'", "write true or false"),
    ),
    Broken(
        "number nobody can dial",
        "district.yaml",
        "04 65 71 00 01",
        "+33 (0)4 65 71 00 01",
        "contact.phone",
        ("is '+33 (0)4 65 71 00 01'", "write what is dialled, as '04 91 00 00 00'"),
    ),
    Broken(
        "number half written",
        "district.yaml",
        "04 65 71 00 01",
        "04",
        "contact.phone",
        ("is '04'", "write what is dialled"),
    ),
    Broken(
        "number without quotes",
        "district.yaml",
        '"04 65 71 00 01"',
        "465710001",
        "contact.phone",
        ("is 465710001", "write a text, in quotes"),
    ),
    Broken(
        "hours in one language",
        "district.yaml",
        "en: from 8 to 18 h",
        'en: ""',
        "contact.hours.en",
        ("is empty; residents read it, write it in both languages",),
    ),
    Broken(
        "nobody to call",
        "district.yaml",
        '  phone: "04 65 71 00 01"\n',
        "",
        "contact.phone",
        ("is missing; add it: telephone number as people read it, in quotes",),
    ),
    Broken(
        "comfort upside down",
        "district.yaml",
        "home: {floor_c: 18, default_c: 19",
        "home: {floor_c: 20, default_c: 19",
        "comfort.home.default_c",
        ("is 19; it must be at least floor_c, which is 20",),
    ),
    Broken(
        "comfort of nobody",
        "district.yaml",
        "  offices: {floor_c: 18, default_c: 19, ceiling_c: 21, cooling_c: 26}\n",
        "",
        "comfort.offices",
        ("is missing, and court/studio is one; say how warm it must be",),
    ),
    Broken(
        "current below 6 A",
        "court.yaml",
        "{type: charge-point, feeder: cable}",
        "{type: charge-point, feeder: cable, fail_safe_current_a: 3}",
        "assets.socket.fail_safe_current_a",
        ("is 3; write 0, or 6 to 32 A",),
    ),
    Broken(
        "feeder too thin",
        "court.yaml",
        "limit_kw: 22",
        "limit_kw: 2",
        "assets.cable.limit_kw",
        ("is 2; one of its charge points alone needs 4.14 kW",),
    ),
    Broken(
        "contract that ended before it began",
        "contracts/landlord.yaml",
        "valid_until: 2027",
        "valid_until: 2024",
        "valid_until",
        ("is 2024-07-31, before valid_from 2025-08-01; swap them",),
    ),
    Broken(
        "hours without a price",
        "contracts/landlord.yaml",
        "  peak:\n",
        "  peak:\n    windows: [{from_hour: 6, until_hour: 20}]\n",
        "periods.peak.windows",
        ("is given for the last period; leave it out",),
    ),
    Broken(
        "thirteenth month",
        "contracts/landlord.yaml",
        "until_hour: 6}",
        "until_hour: 6, months: [13]}",
        "periods.off-peak.windows.0.months",
        ("holds 13; write 1 to 12",),
    ),
    # References
    Broken(
        "supply that is not there",
        "court.yaml",
        "battery, supply: landlord",
        "battery, supply: landlor",
        "assets.battery.supply",
        ("is court/landlor, which is no supply of this district; did you mean court/landlord?",),
    ),
    Broken(
        "reference to the wrong type",
        "court.yaml",
        "feeder: cable",
        "feeder: battery",
        "assets.socket.feeder",
        ("is court/battery, which is no feeder",),
    ),
    Broken(
        "homes without their substation",
        "court.yaml",
        "homes:\n  substation: substation",
        "homes:\n  substation: substaton",
        "homes.substation",
        ("is court/substaton", "did you mean court/substation?"),
    ),
    Broken(
        "dwellings without homes",
        "court.yaml",
        "homes:" + COURT.partition("homes:")[2].partition("dwellings:")[0],
        "",
        "homes",
        ("is missing, but there are dwellings; it says their use, substation and fabric",),
    ),
    Broken(
        "homes without dwellings",
        "cellar.yaml",
        "use: plant\n",
        "use: plant\nhomes: {substation: court/substation, " + FABRIC + "}\n",
        "dwellings",
        ("is missing, but homes is given; list them, or remove homes",),
    ),
    Broken(
        "contract without a file",
        "court.yaml",
        "contract: landlord",
        "contract: landlady",
        "assets.landlord.contract",
        ("is landlady, which has no file in contracts/; did you mean landlord?",),
    ),
    Broken(
        "one PRM for two",
        "court.yaml",
        "10000000000002",
        "10000000000001",
        "dwellings.flat-2.prm",
        ("is 10000000000001, which court/flat-1 has too; a PRM is unique",),
    ),
    Broken(
        "two dwellings of one name",
        "court.yaml",
        "name: flat-2",
        "name: flat-1",
        "dwellings.flat-1",
        ("and so is another asset of this building; rename one",),
    ),
    Broken(
        "asset in capitals",
        "court.yaml",
        "  roof: {",
        "  Roof: {",
        "assets.Roof",
        ("is called 'Roof'; use lower case words joined by hyphens",),
    ),
    # Device types
    Broken(
        "double register",
        "devices/meter.yaml",
        "address: 2",
        "address: 1",
        "registers.energy_kwh.address",
        ("takes register 1, which power_kw has; move one of them",),
    ),
    Broken(
        "double object",
        "devices/room-controller.yaml",
        "analog-output, instance: 11",
        "analog-input, instance: 10",
        "objects.setpoint_offset_k.object",
        ("is analog-input, but write is set; an input cannot be written, use an output",),
    ),
    Broken(
        "missing unit",
        "devices/meter.yaml",
        "int32, unit: W,",
        "int32,",
        "registers.power_kw.unit",
        ("is missing; add it: the unit of the raw value",),
    ),
    Broken(
        "unknown unit",
        "devices/meter.yaml",
        "int32, unit: W,",
        "int32, unit: watt,",
        "registers.power_kw.unit",
        ("is 'watt', which is not known; use one of W, kW",),
    ),
    Broken(
        "unit of another quantity",
        "devices/meter.yaml",
        "int32, unit: W,",
        "int32, unit: Wh,",
        "registers.power_kw.unit",
        ("is Wh, which is energy, but the name says power; use W, kW",),
    ),
    Broken(
        "name without a unit",
        "devices/meter.yaml",
        "  power_kw:",
        "  power:",
        "registers.power",
        ("ends in no unit; end it in one of _a,",),
    ),
    Broken(
        "impossible limit",
        "devices/charger.yaml",
        "minimum: 0, maximum: 32",
        "minimum: 40, maximum: 32",
        "registers.current_limit_a.write.minimum",
        ("is 40, above the maximum of 32; swap them",),
    ),
    Broken(
        "release outside its limits",
        "devices/charger.yaml",
        "release: 10",
        "release: 64",
        "registers.current_limit_a.write.release",
        ("is 64; it must lie within 0 and 32",),
    ),
    Broken(
        "register past the end",
        "devices/meter.yaml",
        "address: 2",
        "address: 65535",
        "registers.energy_kwh.address",
        ("is 65535, and its 2 registers run past 65535; lower it",),
    ),
    Broken(
        "scale of zero",
        "devices/meter.yaml",
        "unit: W, scale: 0.001",
        "unit: W, scale: 0",
        "registers.power_kw.scale",
        ("is 0, so every value would be 0",),
    ),
    Broken(
        "writing an input register",
        "devices/charger.yaml",
        "current_limit_a: {",
        "current_limit_a: {function: 4, ",
        "registers.current_limit_a.function",
        ("is 4, but write is set; an input register cannot be written, use function 3",),
    ),
    Broken(
        "written into the register of another",
        "devices/charger.yaml",
        "write: {minimum: 0",
        "write: {address: 1, minimum: 0",
        "registers.current_limit_a.write.address",
        ("takes register 1, which power_kw has; move one of them",),
    ),
    Broken(
        "written where it is read",
        "devices/charger.yaml",
        "write: {minimum: 0",
        "write: {address: 10, minimum: 0",
        "registers.current_limit_a.write.address",
        ("is 10, but registers 10 to 10 are read for this point; remove it",),
    ),
    Broken(
        "written past the end",
        "devices/charger.yaml",
        "write: {minimum: 0",
        "write: {address: 65536, minimum: 0",
        "registers.current_limit_a.write.address",
        ("65536",),
    ),
    Broken(
        "unknown key in a write",
        "devices/charger.yaml",
        "write: {minimum: 0",
        "write: {adress: 20, minimum: 0",
        "registers.current_limit_a.write.adress",
        ("did you mean address?",),
    ),
    Broken(
        "writing some bits",
        "devices/charger.yaml",
        "type: uint16, unit: A",
        "type: uint16, bits: [0, 7], unit: A",
        "registers.current_limit_a.bits",
        ("is [0, 7], but write is set; a register is written whole",),
    ),
    Broken(
        "bits of a number with a sign",
        "devices/charger.yaml",
        "uint32, unit: W, scale: 0.001}",
        "int32, bits: [0, 7], unit: W, scale: 0.001}",
        "registers.power_kw.bits",
        ("is [0, 7], but type is int32; use uint32",),
    ),
    Broken(
        "bits that are not there",
        "devices/charger.yaml",
        "uint32, unit: W, scale: 0.001}",
        "uint32, bits: [8, 32], unit: W, scale: 0.001}",
        "registers.power_kw.bits",
        ("is [8, 32]; give the first and the last, bit 0 is the lowest and 31 the highest",),
    ),
    Broken(
        "states of a power",
        "devices/charger.yaml",
        "uint32, unit: W, scale: 0.001}",
        'uint32, states: {"1": 1}, unit: W, scale: 0.001}',
        "registers.power_kw.states",
        ("is given for uint32, unit W, scale 0.001",),
    ),
    Broken(
        "a code that its bits cannot hold",
        "devices/charger.yaml",
        "  power_kw: {address: 0, type: uint32, unit: W, scale: 0.001}",
        '  state_mode: {address: 0, type: uint32, bits: [0, 1], states: {"4": 1}, unit: state}',
        "registers.state_mode.states",
        ("knows code 4, which 2 bits cannot hold",),
    ),
    Broken(
        "nobody notices our absence",
        "devices/charger.yaml",
        "watchdog: {kind: rewrite, timeout_s: 60}\n",
        "",
        "watchdog",
        ("is missing, but something can be written; say how the device falls back",),
    ),
    Broken(
        "ours, but nothing to write",
        "devices/meter.yaml",
        "int32, unit: W,",
        "int32, authority: ours, unit: W,",
        "registers.power_kw.authority",
        ("is ours, but there is no write block; add one, or use observe",),
    ),
    Broken(
        "no source",
        "devices/meter.yaml",
        "source: assumption\n",
        "",
        "source",
        ("is missing; add it: the manual and its revision, or assumption",),
    ),
    Broken(
        "heartbeat that is not there",
        "devices/curve-controller.yaml",
        "quantity: heartbeat_count",
        "quantity: heart_beat_count",
        "watchdog.quantity",
        ("is heart_beat_count, which is not among the objects; did you mean heartbeat_count?",),
    ),
    # Wiring
    Broken(
        "unknown device type",
        "court.yaml",
        "{type: charger, asset: socket",
        "{type: chargr, asset: socket",
        "buses.meters.devices.2.type",
        ("is chargr, which has no file in devices/; did you mean charger?",),
    ),
    Broken(
        "device on the wrong bus",
        "court.yaml",
        "{type: charger, asset: socket, unit: 20}",
        "{type: room-controller, asset: socket, offset: 20}",
        "buses.meters.devices.2.type",
        ("which speaks bacnet, but this bus speaks modbus; put it on another bus",),
    ),
    Broken(
        "two points of one name",
        "court.yaml",
        "{type: charger, asset: socket, unit: 20}",
        "{type: charger, asset: landlord, unit: 20}",
        "buses.meters.devices.2",
        ("claims the point court/landlord/power_kw, which court/meters provides already; remove one",),
    ),
    Broken(
        "one unit id for two",
        "court.yaml",
        "asset: socket, unit: 20",
        "asset: socket, unit: 10",
        "buses.meters.devices.2.unit",
        ("is 10 for the charger of court/socket, and the meter of court/flat-1 has it too; choose a free one",),
    ),
    Broken(
        "unit ids run out",
        "court.yaml",
        "each: dwelling, unit: 10",
        "each: dwelling, unit: 247",
        "buses.meters.devices.1.unit",
        ("reaches 248 for court/flat-2; unit ids end at 247, use another bus",),
    ),
    Broken(
        "one object for two",
        "court.yaml",
        "asset: substation, offset: 0",
        "asset: substation, offset: 110",
        "buses.controller.devices.1.offset",
        ("puts court/flat-1/temperature_c on analog-input 110, where court/substation/supply_temperature_c is",),
    ),
    Broken(
        "device of no asset",
        "court.yaml",
        "{type: charger, asset: socket, unit: 20}",
        "{type: charger, asset: sockets, unit: 20}",
        "buses.meters.devices.2.asset",
        ("is sockets, which is no asset here; did you mean socket?",),
    ),
    Broken(
        "device of nothing",
        "court.yaml",
        "{type: charger, asset: socket, unit: 20}",
        "{type: charger, unit: 20}",
        "buses.meters.devices.2",
        ("names neither asset nor each; give one of them",),
    ),
    Broken(
        "device without its unit",
        "court.yaml",
        "asset: socket, unit: 20",
        "asset: socket",
        "buses.meters.devices.2.unit",
        ("is missing; a modbus device needs it",),
    ),
    Broken(
        "authority over what cannot be written",
        "court.yaml",
        "asset: socket, unit: 20",
        "asset: socket, unit: 20, authority: {power_kw: ours}",
        "buses.meters.devices.2.authority.power_kw",
        ("is ours, but charger cannot be written there; use observe",),
    ),
    Broken(
        "authority over nothing",
        "court.yaml",
        "asset: socket, unit: 20",
        "asset: socket, unit: 20, authority: {curent_limit_a: observe}",
        "buses.meters.devices.2.authority.curent_limit_a",
        ("is no quantity of charger; did you mean current_limit_a?",),
    ),
    Broken(
        "two buses at one address",
        "court.yaml",
        "host: 127.0.9.2\n    port: 5020",
        "host: 127.0.9.1\n    port: 47808",
        "buses.meters.host",
        ("is 127.0.9.1:47808 with its port, and so is that of court/controller; every bus has its own",),
    ),
    Broken(
        "station without an instance",
        "court.yaml",
        "    device_instance: 9001\n",
        "",
        "buses.controller.device_instance",
        ("is missing; a BACnet station has one",),
    ),
    Broken(
        "port that is none",
        "court.yaml",
        "port: 5020",
        "port: 502000",
        "buses.meters.port",
        ("is 502000; it must be at most 65535",),
    ),
    Broken(
        "station that nobody watches",
        "court.yaml",
        "      - {type: curve-controller, asset: substation, offset: 0}\n",
        "",
        "buses.controller.devices",
        ("has no device that watches for its station", "add a device whose watchdog covers the station"),
    ),
    # Files
    Broken("no YAML", "court.yaml", "label: {fr", "label: {{fr", "", ("is not readable YAML",)),
    Broken(
        "a list for a file",
        "devices/meter.yaml",
        METER,
        "- one\n",
        "",
        ("holds a list; a mapping of keys to values is expected",),
    ),
]


def refusals(folder: Path) -> list[Refusal]:
    with pytest.raises(DistrictError) as caught:
        read_district(folder)
    return caught.value.refusals


def broken(example: Broken, into: Path) -> Path:
    folder = into / "site"
    shutil.copytree(MINI, folder)
    path = folder / example.file
    text = path.read_text(encoding="utf-8")
    assert example.old in text, "the example no longer fits mini/"
    path.write_text(text.replace(example.old, example.new, 1), encoding="utf-8")
    return folder


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.title)
def test_refuses_with_file_key_and_remedy(example: Broken, tmp_path: Path) -> None:
    found = refusals(broken(example, tmp_path))
    assert len(found) == 1, "one fault, one sentence:\n" + "\n".join(map(str, found))
    refusal = found[0]
    assert (refusal.file, refusal.key) == (f"site/{example.file}", example.key)
    for words in example.says:
        assert words in refusal.problem, str(refusal)
    assert str(refusal).startswith(f"site/{example.file}:")


def test_holidays_are_promised_only_where_it_is_known_whose_they_are(tmp_path: Path) -> None:
    site = tmp_path / "site"
    shutil.copytree(MINI, site)
    court, district = site / "court.yaml", site / "district.yaml"
    court.write_text(COURT.replace("until_hour: 18}", "until_hour: 18, closed_on_holidays: true}"))
    read_district(site)
    district.write_text(district.read_text().replace("altitude_m: 10}", "altitude_m: 10, time_zone: Europe/Rome}"))
    [refusal] = refusals(site)
    assert (refusal.file, refusal.key) == ("site/court.yaml", "assets.studio.opening.closed_on_holidays")
    assert "the clock is Europe/Rome is not known; leave it out, and add closing days" in refusal.problem
    court.write_text(COURT)
    read_district(site)


def test_titles_are_unique_and_many() -> None:
    assert len({e.title for e in EXAMPLES}) == len(EXAMPLES) >= 25


def test_a_device_without_any_fall_back_is_commanded_only_where_its_building_says_why(tmp_path: Path) -> None:
    shutil.copytree(MINI, tmp_path / "site")
    charger, court = tmp_path / "site/devices/charger.yaml", tmp_path / "site/court.yaml"
    charger.write_text(
        charger.read_text().replace("watchdog: {kind: rewrite, timeout_s: 60}", "watchdog: {kind: none}")
    )
    with pytest.raises(DistrictError) as refused:
        read_district(tmp_path / "site")
    (refusal,) = refused.value.refusals
    assert "without_fallback is missing; charger keeps our last current_limit_a when we are gone" in str(refusal)
    assert "authority: {current_limit_a: observe}" in str(refusal)
    for added in ("without_fallback: the cable bears all of them at once", "authority: {current_limit_a: observe}"):
        court.write_text(
            (MINI / "court.yaml")
            .read_text()
            .replace("{type: charger, asset: socket", f"{{type: charger, {added}, asset: socket")
        )
        read_district(tmp_path / "site")
