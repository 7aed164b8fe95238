"""Heated (and sometimes cooled) rooms: a dwelling, or a large zone of offices, shops, hotel, crèche or school.

Two resistances, two capacities: the light node is the air and what follows it in minutes, the mass node is walls and
slabs. Positive heat flows into the zone.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ems.assets.asset import Asset, Celsius, Entry, NotNegative, Positive, Share

Orientation = Literal["north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west"]
ZoneUse = Literal["home", "senior-home", "common-room", "offices", "shops", "hotel", "creche", "school"]


class Fabric(Entry):
    """Design values of a zone's envelope, per m2 of floor. The simulated truth is drawn +-30 % around them."""

    loss_w_per_k_m2: Positive  # transmission and ventilation
    light_wh_per_k_m2: Positive  # air, furniture, surfaces
    mass_wh_per_k_m2: Positive  # walls and slabs
    coupling_w_per_k_m2: Positive  # between light node and mass
    solar_aperture_share: Share  # m2 of equivalent horizontal aperture per m2 of floor, with usual shutters
    gains_w_per_m2: NotNegative  # people and appliances, mean while occupied
    heating_w_per_m2: Positive  # what the emitters give at design supply temperature
    cooling_w_per_m2: NotNegative = 0.0


class Dwelling(Asset):
    """One home. Its room controller adds our offset (-1..+1 K) to the resident's own set point."""

    type: Literal["dwelling"] = "dwelling"
    use: Literal["home", "senior-home"] = "home"
    floor: int = Field(ge=-1, le=40)
    surface_m2: Positive
    rooms: int = Field(ge=1, le=8)
    orientation: Orientation
    prm: str = Field(pattern=r"^\d{14}$")
    thermostat: bool = True  # 15 % have no readable thermostat
    substation: str
    fabric: Fabric


class Opening(Entry):
    """When a zone is occupied, local time. `days` are ISO weekdays, 1 is Monday."""

    days: tuple[int, ...] = Field(min_length=1)
    from_hour: float = Field(ge=0, le=24)
    until_hour: float = Field(ge=0, le=24)


class Zone(Asset):
    """A large zone with one controller: mode (occupied or not) and set points are ours to write."""

    type: Literal["zone"] = "zone"
    use: ZoneUse
    surface_m2: Positive
    orientation: Orientation = "south"
    substation: str
    fabric: Fabric
    opening: Opening
    heating_occupied_c: Celsius = 19.0
    heating_unoccupied_c: Celsius = 16.0
    cooling_occupied_c: Celsius | None = None  # None: no cooling here
    cooling_unoccupied_c: Celsius | None = None
    people: int = Field(default=0, ge=0)
