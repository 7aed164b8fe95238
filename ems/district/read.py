"""Reads a folder of YAML into one District, or refuses with every fault it found: file, key, value and remedy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ems.assets import Asset, ChargePoint, Dwelling, Feeder, Loop, Plant, Substation, Supply, Zone
from ems.district.device import BacnetObject, DeviceType
from ems.district.document import Document, UnreadableError, read_document
from ems.district.faults import asset_faults, comfort_faults, contact_faults, contract_faults, time_zone_faults
from ems.district.model import Building, BuildingFile, BusEntry, DeviceEntry, District, DistrictFile
from ems.district.refusal import DistrictError, KeyPath, Refusal, explain_all, near
from ems.district.schema import json_schema
from ems.district.wiring import Bus, Device, Serial, Wire
from ems.market import Contract
from ems.points import is_name
from ems.public_holidays import country_of

M = TypeVar("M", bound=BaseModel)

LAST_INSTANCE = 4194302  # of a BACnet object; the next one means "none"
LAST_UNIT = 247  # of a Modbus bus

# Which field of an asset names another asset, and of which type.
REFERENCES: dict[str, type[Asset]] = {
    "supply": Supply,
    "plant": Plant,
    "loop": Loop,
    "feeder": Feeder,
    "substation": Substation,
}


def read_district(folder: Path) -> District:
    """Read and cross-check a folder with `district.yaml`, buildings, `devices/` and `contracts/`.

    Raises DistrictError with every fault found.
    """
    reader = _Reader(folder)
    district = reader.read()
    if reader.refusals:
        raise DistrictError(sorted(reader.refusals, key=lambda r: (r.file, r.line or 0)))
    assert district is not None
    return district


class _Reader:
    """Collects refusals while it reads, so that one run names every fault."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.refusals: list[Refusal] = []
        self.documents: dict[str, Document] = {}
        self.unread: set[str] = set()  # buildings, devices/TYPE and contracts/NAME whose own file was refused
        self.assets: dict[str, Asset] = {}
        self.places: dict[str, tuple[str, KeyPath]] = {}  # asset -> its file and where it stands there
        self.buses: dict[str, Bus] = {}
        self.homeless: set[str] = set()  # buildings whose dwellings could not be made
        self.unwired: set[str] = set()  # buses with a device whose type is not known
        self.devices: list[Device] = []
        self.wires: dict[str, Wire] = {}

    def refuse(self, file: str, path: str | KeyPath, problem: str) -> None:
        """Note one fault. `path` leads to the key; a list item that has a name is shown by it."""
        parts: KeyPath = tuple(path.split(".")) if isinstance(path, str) else path
        steps: KeyPath = tuple(int(p) if isinstance(p, str) and p.isdecimal() else p for p in parts if p != "")
        document = self.documents.get(file)
        if document is None:
            self.refusals.append(Refusal(file, ".".join(map(str, steps)), problem))
            return
        key = ".".join(_named(document.data, steps))
        self.refusals.append(Refusal(file, key, problem, document.line(steps)))

    def shown(self, path: Path) -> str:
        return path.relative_to(self.folder.parent).as_posix()

    def read(self) -> District | None:
        if not (self.folder / "district.yaml").is_file():
            self.refuse(f"{self.folder}", "", "holds no district.yaml; give the folder that does")
            return None
        for path in sorted(self.folder.rglob("*.yml")):
            self.refuse(self.shown(path), "", "would not be read; let its name end in .yaml")
        head = self.load(self.folder / "district.yaml", "district", DistrictFile)
        types = self.load_all("devices", "device", DeviceType)
        contracts = self.load_all("contracts", "contract", Contract)
        buildings: dict[str, BuildingFile] = {}
        for path in sorted(self.folder.glob("*.yaml")):
            if path.name == "district.yaml":
                continue
            if not is_name(path.stem):
                self.refuse(self.shown(path), "", "is no building name; use lower case words joined by hyphens")
            elif (building := self.load(path, "building", BuildingFile)) is not None:
                buildings[path.stem] = building
            else:
                self.unread.add(path.stem)
        for name, building in buildings.items():
            self.collect_assets(name, building)
        self.check_contracts(contracts)
        self.check_references(buildings, contracts)
        self.check_feeders()
        for name, building in buildings.items():
            for bus, entry in building.buses.items():
                self.wire_bus(name, bus, entry, types)
        self.check_watchdogs()
        if head is None:
            return None
        self.check_head(head)
        return District(
            name=head.name,
            label=head.label,
            place=head.place,
            comfort=head.comfort,
            values=head.values,
            contact=head.contact,
            data_protection=head.data_protection,
            buildings={n: Building(n, b.label, b.use, b.note) for n, b in buildings.items()},
            assets=self.assets,
            contracts=contracts,
            device_types=types,
            buses=self.buses,
            devices=tuple(self.devices),
            wires=self.wires,
        )

    # One file

    def load(self, path: Path, kind: str, model: type[M], **extra: str) -> M | None:
        file = self.shown(path)
        try:
            document = read_document(path)
        except UnreadableError as error:
            self.refusals.append(Refusal(file, "", error.problem, error.line))
            return None
        self.documents[file] = document
        for key in extra:
            if key in document.data:
                self.refuse(file, key, "is not a key that is known here; the name of the file says it, remove it")
        try:
            return model.model_validate({**document.data, **extra})
        except ValidationError as error:
            schema = json_schema(kind)
            for path_in_file, problem in explain_all(error.errors(), schema):
                self.refuse(file, path_in_file, problem)
            return None

    def load_all(self, folder: str, kind: str, model: type[M]) -> dict[str, M]:
        loaded = {}
        for path in sorted((self.folder / folder).glob("*.yaml")):
            if (item := self.load(path, kind, model, name=path.stem)) is not None:
                loaded[path.stem] = item
            else:
                self.unread.add(f"{folder}/{path.stem}")
        return loaded

    # What stands in a file by itself

    def check_head(self, head: DistrictFile) -> None:
        file = f"{self.folder.name}/district.yaml"
        for key, problem in time_zone_faults(head.place.time_zone):
            self.refuse(file, f"place.{key}", problem)
        for use, comfort in head.comfort.items():
            for key, problem in comfort_faults(comfort):
                self.refuse(file, f"comfort.{use}.{key}", problem)
        if head.contact is not None:
            for key, problem in contact_faults(head.contact):
                self.refuse(file, f"contact.{key}", problem)
        used: dict[str, str] = {}
        for name, asset in self.assets.items():
            if isinstance(asset, Zone) and asset.opening.closed_on_holidays and not country_of(head.place.time_zone):
                building, _, rest = name.partition("/")
                self.refuse(
                    f"{self.folder.name}/{building}.yaml",
                    f"assets.{rest}.opening.closed_on_holidays",
                    f"is true, but whose holidays are kept where the clock is {head.place.time_zone} is not known; "
                    "leave it out, and add closing days",
                )
            if isinstance(asset, Zone | Dwelling):
                used.setdefault(asset.use, name)
        for use, name in used.items():
            if use not in head.comfort:
                self.refuse(file, f"comfort.{use}", f"is missing, and {name} is one; say how warm it must be")

    def check_contracts(self, contracts: Mapping[str, Contract]) -> None:
        for name, contract in contracts.items():
            for key, problem in contract_faults(contract):
                self.refuse(f"{self.folder.name}/contracts/{name}.yaml", key, problem)

    # Assets

    def collect_assets(self, building: str, entry: BuildingFile) -> None:
        file = f"{self.folder.name}/{building}.yaml"
        for short, asset in entry.assets.items():
            if asset.name:
                self.refuse(
                    file, ("assets", short, "name"), f"is {asset.name!r}; an asset is called by its key, remove it"
                )
            self.add_asset(file, ("assets", short), building, short, asset)
        homes = entry.homes
        if homes is None:
            if entry.dwellings:
                self.homeless.add(building)
                self.refuse(
                    file, "homes", "is missing, but there are dwellings; it says their use, substation and fabric"
                )
            return
        if not entry.dwellings:
            self.refuse(file, "dwellings", "is missing, but homes is given; list them, or remove homes")
        for i, line in enumerate(entry.dwellings):
            dwelling = Dwelling(**line.model_dump(), use=homes.use, substation=homes.substation, fabric=homes.fabric)
            self.add_asset(file, ("dwellings", i), building, line.name, dwelling)

    def add_asset(self, file: str, path: KeyPath, building: str, short: str, asset: Asset) -> None:
        name = f"{building}/{short}"
        if not is_name(short):
            self.refuse(file, path, f"is called {short!r}; use lower case words joined by hyphens")
        elif name in self.assets:
            self.refuse(file, path, f"is called {short}, and so is another asset of this building; rename one")
        else:
            full = {
                k: (v if "/" in v else f"{building}/{v}")
                for k in REFERENCES
                if isinstance(v := getattr(asset, k, None), str)
            }
            self.assets[name] = asset.model_copy(update={"name": name, **full})
            self.places[name] = (file, path)

    def check_references(self, buildings: Mapping[str, BuildingFile], contracts: Mapping[str, Contract]) -> None:
        prms: dict[str, str] = {}
        for name, asset in self.assets.items():
            file, path = self.places[name]
            for field, kind in REFERENCES.items():
                target = getattr(asset, field, None)
                if target is None or isinstance(asset, Dwelling):  # those share the one of `homes`
                    continue
                self.check_reference(file, (*path, field), target, kind)
            if isinstance(asset, Supply):
                self.check_contract_of(asset, contracts)
            if isinstance(asset, Supply | Dwelling):
                owner = prms.setdefault(asset.prm, name)
                if owner != name:
                    self.refuse(file, (*path, "prm"), f"is {asset.prm}, which {owner} has too; a PRM is unique")
            for key, problem in asset_faults(asset):
                self.refuse(file, (*path, *key.split(".")), problem)
            if isinstance(asset, Zone) and asset.cooling_occupied_c is not None:
                source = self.assets.get(asset.substation)
                if isinstance(source, Substation) and source.cold_limit_kw == 0:
                    problem = f"is set, but {source.name} gives no cold; give that a cold_limit_kw, or remove it"
                    self.refuse(file, (*path, "cooling_occupied_c"), problem)
        for building, entry in buildings.items():
            if entry.homes is not None:
                target = entry.homes.substation
                target = target if "/" in target else f"{building}/{target}"
                self.check_reference(f"{self.folder.name}/{building}.yaml", ("homes", "substation"), target, Substation)

    def check_reference(self, file: str, path: KeyPath, target: str, kind: type[Asset]) -> None:
        if target.partition("/")[0] in self.unread:
            return  # that building's own fault is told, this one would only follow from it
        if not isinstance(self.assets.get(target), kind):
            what = _words(kind)
            known = [n for n, a in self.assets.items() if isinstance(a, kind)]
            self.refuse(file, path, f"is {target}, which is no {what} of this district{near(target, known)}")

    def check_contract_of(self, supply: Supply, contracts: Mapping[str, Contract]) -> None:
        if supply.contract in contracts or f"contracts/{supply.contract}" in self.unread:
            return
        file, path = self.places[supply.name]
        problem = f"is {supply.contract}, which has no file in contracts/{near(supply.contract, contracts)}"
        self.refuse(file, (*path, "contract"), problem)

    def check_feeders(self) -> None:
        """A feeder carries each of its charge points at least at the least current a car takes."""
        for name, feeder in self.assets.items():
            if isinstance(feeder, Feeder):
                points = [p for p in self.assets.values() if isinstance(p, ChargePoint) and p.feeder == name]
                least = max((p.kw(p.minimum_current_a) for p in points), default=0.0)
                if feeder.limit_kw < least:
                    file, path = self.places[name]
                    problem = f"is {feeder.limit_kw:g}; one of its charge points alone needs {least:.2f} kW"
                    self.refuse(file, (*path, "limit_kw"), problem)

    # Wiring

    def wire_bus(self, building: str, short: str, entry: BusEntry, types: Mapping[str, DeviceType]) -> None:
        file, path = f"{self.folder.name}/{building}.yaml", ("buses", short)
        if not is_name(short):
            self.refuse(file, path, f"is called {short!r}; use lower case words joined by hyphens")
        line = entry.serial
        serial = None if line is None else Serial(line.port, line.baud, line.parity, line.stop_bits)
        baud = entry.baud if line is None else line.baud
        instance = entry.device_instance
        bus = Bus(f"{building}/{short}", entry.protocol, entry.host or "", entry.port or 0, instance, baud, serial)
        for other in self.buses.values():
            if other.address == bus.address:
                shown, key = (f"{bus.address} with its port", "host") if line is None else (bus.address, "serial.port")
                problem = f"is {shown}, and so is that of {other.name}; every bus has its own"
                self.refuse(file, (*path, *key.split(".")), problem)
            if bus.device_instance is not None and other.device_instance == bus.device_instance:
                problem = f"is {bus.device_instance}, and so is that of {other.name}; instances are unique"
                self.refuse(file, (*path, "device_instance"), problem)
        if entry.protocol == "bacnet" and entry.device_instance is None:
            self.refuse(file, (*path, "device_instance"), "is missing; a BACnet station has one, unique in the network")
        elif entry.protocol == "modbus" and entry.device_instance is not None:
            problem = f"is {entry.device_instance}, but a Modbus bus has none; remove it"
            self.refuse(file, (*path, "device_instance"), problem)
        if entry.protocol == "bacnet" and entry.baud is not None:
            self.refuse(file, (*path, "baud"), f"is {entry.baud}, but a BACnet/IP station has no line; remove it")
        self.buses[bus.name] = bus
        taken: dict[object, str] = {}
        for i, device_entry in enumerate(entry.devices):
            where = (*path, "devices", i)
            kind = types.get(device_entry.type)
            if kind is None:
                self.unwired.add(bus.name)
                if f"devices/{device_entry.type}" not in self.unread:
                    problem = f"is {device_entry.type}, which has no file in devices/{near(device_entry.type, types)}"
                    self.refuse(file, (*where, "type"), problem)
            elif kind.protocol != entry.protocol:
                spoken = f"which speaks {kind.protocol}, but this bus speaks {entry.protocol}"
                problem = f"is {kind.name}, {spoken}; put it on another bus"
                self.refuse(file, (*where, "type"), problem)
            else:
                self.check_fallback(file, where, device_entry, kind)
                for device in self.devices_of(file, where, building, device_entry, kind, bus):
                    self.wire_device(file, where, device, device_entry, taken)

    def devices_of(
        self, file: str, where: KeyPath, building: str, entry: DeviceEntry, kind: DeviceType, bus: Bus
    ) -> Iterator[Device]:
        place, other = ("unit", "offset") if kind.protocol == "modbus" else ("offset", "unit")
        first = getattr(entry, place)
        if first is None:
            self.refuse(file, (*where, place), f"is missing; a {kind.protocol} device needs it")
            return
        if getattr(entry, other) is not None:
            self.refuse(file, (*where, other), f"is given, but a {kind.protocol} device has {place}; remove it")
        for i, name in enumerate(self.measured(file, where, building, entry)):
            if place == "unit":
                # One device alone may have 255 over TCP, as some do that are no gateways.
                if first + i > LAST_UNIT and (i or bus.serial is not None):
                    problem = f"reaches {first + i} for {name}; unit ids end at {LAST_UNIT}, use another bus"
                    self.refuse(file, (*where, "unit"), problem)
                    return
                yield Device(name, kind, bus, unit=first + i)
            else:
                yield Device(name, kind, bus, offset=first + i * entry.step)

    def measured(self, file: str, where: KeyPath, building: str, entry: DeviceEntry) -> list[str]:
        """The assets that an entry stands for."""
        if (entry.asset is None) == (entry.each is None):
            found = "neither asset nor each" if entry.asset is None else "both asset and each"
            self.refuse(file, where, f"names {found}; give one of them")
            return []
        if entry.asset is not None:
            name = entry.asset if "/" in entry.asset else f"{building}/{entry.asset}"
            if name in self.assets:
                return [name]
            if name.partition("/")[0] in self.unread:
                return []
            known = [a.partition("/")[2] for a, found in self.assets.items()
                     if a.startswith(building + "/") and not isinstance(found, Dwelling)]  # fmt: skip
            problem = f"is {entry.asset}, which is no asset here{near(entry.asset, known)}"
            self.refuse(file, (*where, "asset"), problem)
            return []
        names = [n for n, a in self.assets.items() if a.building == building and _is_one(a, entry.each)]
        if not names and building not in self.homeless:
            self.refuse(
                file, (*where, "each"), f"is {entry.each}, but this building has none; list some, or remove the line"
            )
        return names

    def wire_device(
        self, file: str, where: KeyPath, device: Device, entry: DeviceEntry, taken: dict[object, str]
    ) -> None:
        self.devices.append(device)
        for quantity in entry.authority:
            if quantity not in device.type.points:
                problem = f"is no quantity of {device.type.name}{near(quantity, device.type.points)}"
                self.refuse(file, (*where, "authority", quantity), problem)
        if device.type.protocol == "modbus":
            claim = f"the {device.type.name} of {device.asset}"
            owner = taken.setdefault(device.unit, claim)
            if owner != claim:
                problem = f"is {device.unit} for {claim}, and {owner} has it too; choose a free one"
                self.refuse(file, (*where, "unit"), problem)
        clear = True  # one refusal is enough for a device that stands where another one does
        for quantity, measure in device.type.points.items():
            point = f"{device.asset}/{quantity}"
            wire = Wire(point, device, measure, entry.authority.get(quantity, measure.authority))
            if wire.authority != "observe" and measure.write is None:
                problem = f"is {wire.authority}, but {device.type.name} cannot be written there; use observe"
                self.refuse(file, (*where, "authority", quantity), problem)
            if point in self.wires:
                problem = f"claims the point {point}, which {self.wires[point].bus.name} provides already; remove one"
                self.refuse(file, where, problem)
                continue
            self.wires[point] = wire
            if clear and isinstance(measure, BacnetObject):
                kind, instance = wire.object_id
                owner = taken.setdefault(wire.object_id, point)
                if owner != point:
                    problem = f"puts {point} on {kind} {instance}, where {owner} is; choose another offset"
                elif instance > LAST_INSTANCE:
                    problem = f"puts {point} on {kind} {instance}; instances end at {LAST_INSTANCE}, lower the offset"
                else:
                    continue
                self.refuse(file, (*where, "offset"), problem)
                clear = False

    def check_fallback(self, file: str, where: KeyPath, entry: DeviceEntry, kind: DeviceType) -> None:
        """A device that keeps our last command for ever is commanded only where its building's file says why."""
        ours = [q for q, m in kind.points.items() if m.write and entry.authority.get(q, m.authority) != "observe"]
        if ours and kind.watchdog is not None and kind.watchdog.kind == "none" and not entry.without_fallback:
            self.refuse(
                file,
                (*where, "without_fallback"),
                f"is missing; {kind.name} keeps our last {ours[0]} when we are gone: say why that is safe here, "
                f"or set authority: {{{ours[0]}: observe}}",
            )

    def check_watchdogs(self) -> None:
        """A device that relies on another one of its station to notice our absence has such a neighbour."""
        guarded = {d.bus.name for d in self.devices if d.type.watchdog and d.type.watchdog.covers == "station"}
        relying = {d.bus.name: d for d in self.devices if d.type.watchdog and d.type.watchdog.kind == "station"}
        for bus, device in relying.items():
            if bus not in guarded | self.unwired:
                building, _, short = bus.partition("/")
                problem = (
                    f"has no device that watches for its station, but {device.type.name} relies on one; "
                    "add a device whose watchdog covers the station, or write kind: none in the device type"
                )
                self.refuse(f"{self.folder.name}/{building}.yaml", ("buses", short, "devices"), problem)


def _is_one(asset: Asset, each: str | None) -> bool:
    if each == "charge-point":
        return isinstance(asset, ChargePoint)
    return isinstance(asset, Dwelling) and (each == "dwelling" or asset.thermostat)


def _words(kind: type[Asset]) -> str:
    """`ChargePoint` as a person says it: charge point."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind.__name__).lower()


def _named(data: Any, path: Iterable[int | str]) -> Iterator[str]:
    """The parts of a path; an item of a list by its name when it has one."""
    for part in path:
        below = data.get(part) if isinstance(data, dict) else None
        if isinstance(data, list) and isinstance(part, int) and part < len(data):
            below = data[part]
        name = below.get("name") if isinstance(data, list) and isinstance(below, dict) else None
        yield str(name if name is not None else part)
        data = below
