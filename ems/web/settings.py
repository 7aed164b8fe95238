"""What is set, and in which file: the pages show it, the files change it. A change is checked before it is taken up."""

from __future__ import annotations

from fastapi import Response

from ems.web.access import Permission
from ems.web.figures import LABELS
from ems.web.pages import Pages, Visit

# The prices of wishes as people call them: of a euro per what.
VALUES = {
    "too_cold_per_k_h": ("A home one kelvin too cold, for an hour", "€"),
    "too_hot_per_k_h": ("A home one kelvin too warm, for an hour", "€"),
    "hot_water_per_kwh": ("A kWh of hot water missing", "€"),
    "charging_per_kwh": ("A kWh missing in a car that leaves", "€"),
    "unserved_per_kwh": ("A kWh that cannot be delivered", "€"),
    "carbon_per_kg": ("A kilogram of CO2", "€"),
    "leaving_plan_per_kwh": ("A kWh planned otherwise than before", "€"),
}
# Kinds of rooms as `district.yaml` calls them.
ROOMS = {
    "home": "Homes",
    "senior-home": "Homes of the senior residence",
    "common-room": "Common room",
    "offices": "Offices",
    "shops": "Shops",
    "hotel": "Hotel",
    "creche": "Crèche",
    "school": "School",
}


class Settings:
    """Adds the page of settings."""

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
        pages.route("/manager/settings", Permission.MANAGER, self.show, keep=True)

    def show(self, visit: Visit) -> Response:
        district = self.pages.district
        return self.pages.page(
            visit,
            "manager_settings.html",
            values=[(text, getattr(district.values, key)) for key, (text, _) in VALUES.items()],
            comfort=[(ROOMS.get(key, key), band) for key, band in district.comfort.items()],
            contracts=list(district.contracts.values()),
            labels=LABELS,
            types=sorted(district.device_types.values(), key=lambda t: t.name),
        )
