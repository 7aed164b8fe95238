"""The district as its files describe it, validated and cross-checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import Field, model_validator

from ems.assets import ASSET_TYPES, Asset, Dwelling, Entry, Fabric
from ems.assets.zone import Orientation
from ems.district.device import Authority, DeviceType
from ems.district.refusal import FaultError
from ems.district.wiring import Bus, Device, Wire
from ems.market import Contract

if TYPE_CHECKING:
    AnyAsset = Asset
else:  # the file says by `type` which one it is
    AnyAsset = Annotated[reduce(or_, ASSET_TYPES), Field(discriminator="type")]
Use = Literal["housing", "senior", "offices", "shops", "hotel", "creche", "school", "parking", "plant", "station"]
T = TypeVar("T", bound=Asset)


class Label(Entry):
    """A name for people, in both languages."""

    fr: str
    en: str


class Place(Entry):
    latitude_deg: float = Field(ge=-90, le=90)
    longitude_deg: float = Field(ge=-180, le=180)
    altitude_m: float = Field(ge=-100, le=5000)
    time_zone: str = "Europe/Paris"


class Comfort(Entry):
    """The band in which a kind of zone must stay while occupied, degC. None: no cooling, or no upper promise."""

    floor_c: float = Field(ge=5, le=25)
    default_c: float = Field(ge=5, le=26)
    ceiling_c: float = Field(ge=5, le=28)  # the highest that heating may reach
    cooling_c: float | None = Field(default=None, ge=18, le=35)


class Values(Entry):
    """What the wishes are worth, euro: the prices at which the plan may fall short of one."""

    too_cold_per_k_h: float = Field(gt=0)
    too_hot_per_k_h: float = Field(gt=0)
    hot_water_per_kwh: float = Field(gt=0)  # heat missing in a tank
    charging_per_kwh: float = Field(gt=0)  # missing in a car at departure
    unserved_per_kwh: float = Field(gt=0)  # load that a node cannot serve, or energy it cannot place
    carbon_per_kg: float = Field(ge=0)
    leaving_plan_per_kwh: float = Field(ge=0)  # for changing the previous plan


class Contact(Entry):
    """Who answers residents when something does not wait; shown on each of their pages."""

    label: Label = Field(description="who answers, as On-call technician")
    phone: str = Field(description="telephone number as people read it, in quotes")
    hours: Label = Field(description="when somebody answers")

    @property
    def dialled(self) -> str:
        """The number as a telephone dials it: digits, after a + perhaps."""
        return "".join(c for c in self.phone if c in "+0123456789")


class DataProtection(Entry):
    """Who answers for personal data, as the law has residents told (GDPR, article 13); shown on the page on privacy."""

    controller: str = Field(min_length=2, description="the body that decides on the data: name, street, town")
    contact: str = Field(min_length=3, description="where requests about data go: e-mail address or telephone number")
    officer: str | None = Field(default=None, description="how to reach the data protection officer, if there is one")


class DistrictFile(Entry):
    """`district.yaml`."""

    name: str
    label: Label
    note: str = ""
    place: Place
    comfort: dict[str, Comfort]
    values: Values
    contact: Contact | None = None
    data_protection: DataProtection | None = None


class DwellingLine(Entry):
    """One dwelling of a building's list."""

    name: str
    floor: int = Field(ge=-1, le=40)
    surface_m2: float = Field(gt=8, le=400)
    rooms: int = Field(ge=1, le=8)
    orientation: Orientation
    prm: str = Field(pattern=r"^\d{14}$", description="the 14 digits of its supply point, in quotes")
    thermostat: bool = Field(default=True, description="false when its room controller cannot be read")


class Homes(Entry):
    """What all dwellings of a building share."""

    use: Literal["home", "senior-home"] = "home"
    substation: str
    fabric: Fabric


class DeviceEntry(Entry):
    """One device on a bus, or one for each asset of a kind, in the order of the file."""

    type: str = Field(description="a file in devices/, without .yaml")
    asset: str | None = Field(default=None, description="whose quantities it measures or sets")
    each: Literal["dwelling", "thermostat", "charge-point"] | None = None
    unit: int | None = Field(default=None, ge=1, le=255, description="Modbus: unit id of the first; 255 over TCP only")
    offset: int | None = Field(default=None, ge=0, description="BACnet: instance of the first")
    step: int = Field(default=10, ge=1, description="BACnet: instances from one to the next")
    authority: dict[str, Authority] = Field(default={}, description="where it differs from the device type's")
    without_fallback: str = Field(
        default="", description="why we may command a device that keeps our last command when we are gone"
    )


class SerialEntry(Entry):
    port: str = Field(min_length=1, description="the device file of the adapter, such as /dev/ttyUSB0")
    baud: int = Field(ge=300, le=1_000_000)
    parity: Literal["none", "even", "odd"] = Field(default="even", description="with none, devices have two stop bits")
    stop_bits: Literal[1, 2] = 1


class BusEntry(Entry):
    protocol: Literal["modbus", "bacnet"]
    host: str | None = Field(default=None, min_length=1, description="address or name of the gateway or controller")
    port: int | None = Field(default=None, ge=1, le=65535, description="502 for Modbus and 47808 for BACnet, usually")
    serial: SerialEntry | None = Field(default=None, description="Modbus RTU on a line of this machine, without host")
    device_instance: int | None = Field(default=None, ge=0, le=4194302, description="BACnet only")
    baud: int | None = Field(default=None, ge=300, le=1_000_000, description="Modbus: of the serial line behind it")
    devices: list[DeviceEntry] = Field(min_length=1)

    @model_validator(mode="after")
    def _has_one_place(self) -> BusEntry:
        if self.serial is None:
            if self.host is None:
                raise FaultError("host", "is missing; add it: address or name of the gateway or controller")
            if self.port is None:
                raise FaultError("port", "is missing; add it: 502 for Modbus and 47808 for BACnet, usually")
        elif self.protocol == "bacnet":
            raise FaultError(
                "serial", "is given, but protocol is bacnet; MS/TP needs a router to BACnet/IP, give its host"
            )
        elif self.host is not None or self.port is not None:
            raise FaultError(
                "serial", "is given, and host or port too; a bus is on a line or in the network, remove one"
            )
        elif self.baud is not None:
            raise FaultError("baud", "is given, and serial has its own; remove this one")
        return self


class BuildingFile(Entry):
    """One building: `buildings/NAME.yaml`."""

    label: Label
    use: Use
    note: str = ""
    homes: Homes | None = None
    dwellings: list[DwellingLine] = Field(default=[])
    assets: dict[str, AnyAsset] = Field(default={})
    buses: dict[str, BusEntry] = Field(default={})


@dataclass(frozen=True)
class Building:
    """A building's name for machines and people, and its use; its assets are in the district."""

    name: str
    label: Label
    use: str
    note: str = ""


@dataclass(frozen=True)
class District:
    """Everything that is known of a district before anything is measured.

    `assets` by `building/asset`, `wires` by point, `buses` by `building/bus`, `contracts` by name.
    """

    name: str
    label: Label
    place: Place
    comfort: dict[str, Comfort]
    values: Values
    contact: Contact | None = None
    data_protection: DataProtection | None = None
    buildings: dict[str, Building] = field(default_factory=dict)
    assets: dict[str, Asset] = field(default_factory=dict)
    contracts: dict[str, Contract] = field(default_factory=dict)
    device_types: dict[str, DeviceType] = field(default_factory=dict)
    buses: dict[str, Bus] = field(default_factory=dict)
    devices: tuple[Device, ...] = ()
    wires: dict[str, Wire] = field(default_factory=dict)
    _of: dict[type, dict[str, Any]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def of(self, kind: type[T]) -> dict[str, T]:
        """All assets of one type, by name, in the order of the files. The same one each time: it is only read."""
        if kind not in self._of:  # who makes a page or permits a write asks it again and again
            self._of[kind] = {name: asset for name, asset in self.assets.items() if isinstance(asset, kind)}
        return self._of[kind]

    def asset(self, name: str, kind: type[T]) -> T:
        """One asset of a known type. Raises KeyError, or TypeError if it is of another type."""
        asset = self.assets[name]
        if not isinstance(asset, kind):
            raise TypeError(f"{name} is a {type(asset).__name__}, not a {kind.__name__}")
        return asset

    @property
    def dwellings(self) -> dict[str, Dwelling]:
        return self.of(Dwelling)

    def points_of(self, asset: str) -> dict[str, Wire]:
        """The wired points of one asset, by quantity."""
        prefix = asset + "/"
        return {w.quantity: w for p, w in self.wires.items() if p.startswith(prefix)}

    @property
    def commanded(self) -> dict[str, Wire]:
        """The points that we may write."""
        return {p: w for p, w in self.wires.items() if w.commanded}
