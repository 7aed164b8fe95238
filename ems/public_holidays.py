"""Public holidays, by the local date: forecasts, plan and rules ask the same calendar."""

from __future__ import annotations

from datetime import date
from functools import lru_cache

import holidays

PARIS = "Europe/Paris"


@lru_cache(maxsize=64)
def public_holidays(country: str, first_year: int, last_year: int) -> frozenset[date]:
    """The public holidays of all of a country (ISO 3166, as "FR") in these years, both included."""
    return frozenset(holidays.country_holidays(country, years=range(first_year, last_year + 1)))


def country_of(time_zone: str) -> str | None:
    """Whose holidays are kept where the clock is `time_zone`: France's by that of Paris, else not known."""
    return "FR" if time_zone == PARIS else None


def is_public_holiday(day: date, time_zone: str) -> bool:
    """Whether a local day is a public holiday; never where it is not known whose are kept."""
    country = country_of(time_zone)
    return country is not None and day in public_holidays(country, day.year, day.year)
