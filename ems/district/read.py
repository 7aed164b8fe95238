"""Reads a folder of YAML into one District, or refuses with every fault it found: file, key, value and remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from ems.assets import Asset, ChargePoint, Dwelling, Feeder, Loop, Plant, Substation, Supply
from ems.district.device import DeviceType
from ems.district.model import Building, BuildingFile, BusEntry, DeviceEntry, District, DistrictFile
from ems.district.wiring import Bus, Device, Wire
from ems.market import Contract
from ems.points import is_name

M = TypeVar("M", bound=BaseModel)

# Which field of an asset names another asset, and of which type.
REFERENCES: dict[str, type[Asset]] = {
    "supply": Supply,
    "plant": Plant,
    "loop": Loop,
    "feeder": Feeder,
    "substation": Substation,
}


@dataclass(frozen=True)
class Refusal:
    """One fault: where it is, what stands there, and what would be right."""

    file: str
    key: str
    problem: str

    def __str__(self) -> str:
        return f"{self.file}: {self.key}{' ' if self.key else ''}{self.problem}"


class DistrictError(ValueError):
    """A folder that is no district; `refusals` lists every fault."""

    def __init__(self, refusals: list[Refusal]) -> None:
        self.refusals = refusals
        super().__init__("\n".join(str(r) for r in refusals))


class _Loader(yaml.SafeLoader):
    """YAML that refuses a key given twice instead of taking the last one."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: dict[Any, int] = {}
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            raise yaml.MarkedYAMLError(
                problem=f"key {key!r} stands twice, first in line {seen[key]}; keep one", problem_mark=key_node.start_mark
            )
        seen[key] = key_node.start_mark.line + 1
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_district(folder: Path) -> District:
    """Read and cross-check a folder with `district.yaml`, buildings, `devices/` and `contracts/`.

    Raises DistrictError with every fault found.
    """
    reader = _Reader(folder)
    district = reader.read()
    if reader.refusals:
        raise DistrictError(reader.refusals)
    assert district is not None
    return district


class _Reader:
    """Collects refusals while it reads, so that one run names every fault."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.refusals: list[Refusal] = []
        self.assets: dict[str, Asset] = {}
        self.files: dict[str, str] = {}  # asset -> file
        self.buses: dict[str, Bus] = {}
        self.devices: list[Device] = []
        self.wires: dict[str, Wire] = {}

    def refuse(self, file: Path | str, key: str, problem: str) -> None:
        name = file if isinstance(file, str) else str(file.relative_to(self.folder.parent))
        self.refusals.append(Refusal(name, key, problem))

    def read(self) -> District | None:
        if not (self.folder / "district.yaml").is_file():
            self.refuse(f"{self.folder}", "", "holds no district.yaml; give the folder that does")
            return None
        head = self.load(self.folder / "district.yaml", DistrictFile)
        types = self.load_all("devices", DeviceType)
        contracts = self.load_all("contracts", Contract)
        buildings: dict[str, BuildingFile] = {}
        for path in sorted(self.folder.glob("*.yaml")):
            if path.name == "district.yaml":
                continue
            if not is_name(path.stem):
                self.refuse(path, "", "is no building name; use lower case words joined by hyphens")
            elif (building := self.load(path, BuildingFile)) is not None:
                buildings[path.stem] = building
        for name, building in buildings.items():
            self.collect_assets(name, building)
        self.check_references(contracts)
        for name, building in buildings.items():
            for bus, entry in building.buses.items():
                self.wire_bus(name, bus, entry, types)
        if head is None:
            return None
        return District(
            name=head.name,
            label=head.label,
            place=head.place,
            comfort=head.comfort,
            values=head.values,
            buildings={n: Building(n, b.label, b.use, b.note) for n, b in buildings.items()},
            assets=self.assets,
            contracts=contracts,
            device_types=types,
            buses=self.buses,
            devices=tuple(self.devices),
            wires=self.wires,
        )

    # One file

    def load(self, path: Path, model: type[M], **extra: str) -> M | None:
        try:
            data = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            self.refuse(path, "", f"is not readable YAML: {' '.join(str(error).split())}")
            return None
        if not isinstance(data, dict):
            self.refuse(path, "", f"holds {type(data).__name__}; a mapping of keys to values is expected")
            return None
        try:
            return model.model_validate({**data, **extra})
        except ValidationError as error:
            for fault in error.errors():
                self.refuse(path, _key(fault["loc"]), _sentence(dict(fault), model))
            return None

    def load_all(self, folder: str, model: type[M]) -> dict[str, M]:
        loaded = {}
        for path in sorted((self.folder / folder).glob("*.yaml")):
            if (item := self.load(path, model, name=path.stem)) is not None:
                loaded[path.stem] = item
        return loaded

    # Assets

    def collect_assets(self, building: str, entry: BuildingFile) -> None:
        file = f"{self.folder.name}/{building}.yaml"
        lines: list[tuple[str, str, Asset]] = [(f"assets.{n}", n, a) for n, a in entry.assets.items()]
        if entry.dwellings and entry.homes is None:
            self.refuse(file, "homes", "is missing; dwellings need use, substation and fabric")
        elif entry.homes is not None:
            homes = entry.homes
            for i, line in enumerate(entry.dwellings):
                dwelling = Dwelling(
                    **line.model_dump(), use=homes.use, substation=homes.substation, fabric=homes.fabric
                )
                lines.append((f"dwellings.{i}", line.name, dwelling))
        for key, short, asset in lines:
            name = f"{building}/{short}"
            if not is_name(short):
                self.refuse(file, key, f"is called {short!r}; use lower case words joined by hyphens")
            elif name in self.assets:
                self.refuse(file, key, f"is called {short}, and so is another asset of this building; rename one")
            else:
                full = {
                    k: (v if "/" in v else f"{building}/{v}")
                    for k in REFERENCES
                    if isinstance(v := getattr(asset, k, None), str)
                }
                self.assets[name] = asset.model_copy(update={"name": name, **full})
                self.files[name] = file

    def check_references(self, contracts: dict[str, Contract]) -> None:
        prms: dict[str, str] = {}
        for name, asset in self.assets.items():
            file, short = self.files[name], name.partition("/")[2]
            for field, kind in REFERENCES.items():
                target = getattr(asset, field, None)
                if target is not None and not isinstance(self.assets.get(target), kind):
                    known = [n for n, a in self.assets.items() if isinstance(a, kind)]
                    self.refuse(file, f"{short}.{field}", f"is {target}, which is no {kind.__name__.lower()}{_near(target, known)}")
            if isinstance(asset, Supply) and asset.contract not in contracts:
                self.refuse(file, f"{short}.contract", f"is {asset.contract}, which has no file in contracts/{_near(asset.contract, contracts)}")
            if isinstance(asset, Supply | Dwelling):
                owner = prms.setdefault(asset.prm, name)
                if owner != name:
                    self.refuse(file, f"{short}.prm", f"is {asset.prm}, which {owner} has too; a PRM is unique")
            for message in asset_faults(asset):
                self.refuse(file, f"{short}.{message}", "")

    # Wiring

    def wire_bus(self, building: str, short: str, entry: BusEntry, types: dict[str, DeviceType]) -> None:
        file, key = f"{self.folder.name}/{building}.yaml", f"buses.{short}"
        bus = Bus(f"{building}/{short}", entry.protocol, entry.host, entry.port, entry.device_instance)
        for other in self.buses.values():
            if other.address == bus.address:
                self.refuse(file, f"{key}.host", f"is {bus.address}, and so is {other.name}; every bus has its own address")
            if bus.device_instance is not None and other.device_instance == bus.device_instance:
                self.refuse(file, f"{key}.device_instance", f"is {bus.device_instance}, and so is that of {other.name}; instances are unique")
        if (entry.protocol == "bacnet") != (entry.device_instance is not None):
            self.refuse(file, f"{key}.device_instance", "is needed for bacnet, and only there")
        self.buses[bus.name] = bus
        taken: dict[object, str] = {}
        for i, device_entry in enumerate(entry.devices):
            where = f"{key}.devices.{i}"
            kind = types.get(device_entry.type)
            if kind is None:
                self.refuse(file, f"{where}.type", f"is {device_entry.type}, which has no file in devices/{_near(device_entry.type, types)}")
                continue
            if kind.protocol != entry.protocol:
                self.refuse(file, f"{where}.type", f"is {kind.name}, a {kind.protocol} device on a {entry.protocol} bus")
                continue
            for device in self.devices_of(file, where, building, device_entry, kind, bus):
                self.wire_device(file, where, device, device_entry, taken)

    def devices_of(
        self, file: str, where: str, building: str, entry: DeviceEntry, kind: DeviceType, bus: Bus
    ) -> Iterator[Device]:
        if (entry.asset is None) == (entry.each is None):
            self.refuse(file, where, "names neither or both of asset and each; give one of them")
            return
        place = "unit" if kind.protocol == "modbus" else "offset"
        first = getattr(entry, place)
        if first is None:
            self.refuse(file, f"{where}.{place}", f"is missing; a {kind.protocol} device needs it")
            return
        if entry.asset is not None:
            name = entry.asset if "/" in entry.asset else f"{building}/{entry.asset}"
            if name not in self.assets:
                known = [a.partition("/")[2] for a in self.assets if a.startswith(building + "/")]
                self.refuse(file, f"{where}.asset", f"is {entry.asset}, which is no asset here{_near(entry.asset, known)}")
                return
            names = [name]
        else:
            names = [n for n, a in self.assets.items() if a.building == building and _is_one(a, entry.each)]
            if not names:
                self.refuse(file, f"{where}.each", f"is {entry.each}, but this building has none")
        for i, name in enumerate(names):
            if place == "unit":
                if first + i > 247:
                    self.refuse(file, f"{where}.unit", f"reaches {first + i} for {name}; unit ids end at 247, use another bus")
                    return
                yield Device(name, kind, bus, unit=first + i)
            else:
                yield Device(name, kind, bus, offset=first + i * entry.step)

    def wire_device(
        self, file: str, where: str, device: Device, entry: DeviceEntry, taken: dict[object, str]
    ) -> None:
        self.devices.append(device)
        for quantity in entry.authority:
            if quantity not in device.type.points:
                self.refuse(file, f"{where}.authority.{quantity}", f"is no quantity of {device.type.name}{_near(quantity, device.type.points)}")
        if device.type.protocol == "modbus":
            owner = taken.setdefault(device.unit, device.asset)
            if owner != device.asset:
                self.refuse(file, f"{where}.unit", f"is {device.unit} for {device.asset}, and {owner} has it too")
        for quantity, measure in device.type.points.items():
            point = f"{device.asset}/{quantity}"
            wire = Wire(point, device, measure, entry.authority.get(quantity, measure.authority))
            if wire.authority != "observe" and measure.write is None:
                self.refuse(file, f"{where}.authority.{quantity}", f"is {wire.authority}, but {device.type.name} cannot be written there; use observe")
            if point in self.wires:
                self.refuse(file, where, f"claims the point {point}, which {self.wires[point].bus.name} provides already; remove one")
                continue
            self.wires[point] = wire
            if device.type.protocol == "bacnet":
                owner = taken.setdefault(wire.object_id, point)
                if owner != point:
                    kind, instance = wire.object_id
                    self.refuse(file, f"{where}.offset", f"puts {point} on {kind} {instance}, where {owner} is; choose another offset")


def asset_faults(asset: Asset) -> list[str]:
    """What one asset's own figures contradict, as `key is value; what would be right`."""
    faults = []
    if isinstance(asset, Supply) and asset.physical_limit_kw < asset.subscribed_kw:
        faults.append(
            f"physical_limit_kw is {asset.physical_limit_kw}; it carries at least the subscribed {asset.subscribed_kw} kW"
        )
    if isinstance(asset, ChargePoint) and asset.minimum_current_a > asset.maximum_current_a:
        faults.append(f"minimum_current_a is {asset.minimum_current_a}; it is at most the maximum of {asset.maximum_current_a} A")
    return faults


def _is_one(asset: Asset, each: str | None) -> bool:
    if each == "charge-point":
        return isinstance(asset, ChargePoint)
    return isinstance(asset, Dwelling) and (each == "dwelling" or asset.thermostat)


def _key(loc: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in loc)


def _near(word: str, known: object) -> str:
    """`; did you mean X?` when something known looks like it."""
    close = difflib.get_close_matches(word, [str(k) for k in known], n=1)  # type: ignore[attr-defined]
    return f"; did you mean {close[0]}?" if close else ""


def _sentence(fault: dict[str, Any], model: type[BaseModel]) -> str:
    """What pydantic found, as a sentence with value and remedy."""
    kind, value = fault["type"], fault["input"]
    if kind == "extra_forbidden":
        return f"is not a key that is known here{_near(str(fault['loc'][-1]), model.model_fields)}; remove it or correct its name"
    if kind == "missing":
        return "is missing; add it"
    message = fault["msg"].removeprefix("Value error, ")
    if kind == "value_error":
        return f": {message}"
    shown = repr(value) if not isinstance(value, dict | list) else f"a {type(value).__name__}"
    return f"is {shown}; {message[0].lower()}{message[1:]}"
