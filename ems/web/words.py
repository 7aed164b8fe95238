"""Words and numbers in French and English.

English is the text in the code; French stands in `locale/fr.po`, read at the start, so that a translator's tools work
on it and nothing has to be compiled. Numbers and dates follow Babel's data for each language.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from functools import cache, lru_cache
from pathlib import Path

from babel import Locale
from babel.core import negotiate_locale
from babel.dates import format_date, format_datetime
from babel.messages.pofile import read_po
from babel.numbers import format_decimal

from ems.points import dimension, unit_label, unit_suffix

LANGUAGES = ("fr", "en")  # the first is spoken to whoever asks for neither
_FOLDER = Path(__file__).parent / "locale"
_FIRST = re.compile(r"\bd\b")  # the day of a month: French counts its first as an ordinal, "1er novembre"


@cache
def catalogue(language: str, context: str | None = None) -> dict[str, str]:
    """English text -> text in `language`; empty for English. `context`: "control" for what the control process says."""
    file = _FOLDER / f"{language}.po"
    if not file.exists():
        return {}
    with file.open("rb") as stream:
        return {
            str(m.id): typeset(str(m.string), language)
            for m in read_po(stream, locale=language)
            if m.id and m.string and m.context == context
        }


def said(text: str, language: str) -> str:
    """What the control process said, which writes English, in `language`: clause by clause, as far as they are known.

    What stands in the places of a clause is told the same way: there may be a reason within a reason.
    """
    return "; ".join(_clause(clause, language) for clause in _BETWEEN_CLAUSES.split(text))


def _clause(text: str, language: str) -> str:
    for pattern, template in _patterns(language):
        if found := pattern.fullmatch(text):
            return template.format(**{name: said(value, language) for name, value in found.groupdict().items()})
    return text


@cache
def _patterns(language: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple(
        (re.compile(_PLACE.sub(r"(?P<\1>.+)", re.escape(english)), re.DOTALL), there)
        for english, there in catalogue(language, "control").items()
    )


_PLACE = re.compile(r"\\{(\w+)\\}")  # escaped, as in a pattern
_BETWEEN_CLAUSES = re.compile(r"; (?![^()]*\))")  # not within brackets


# What French printers do that keyboards do not: the curved apostrophe, and no line that begins with a sign or a unit.
_APOSTROPHE = re.compile(r"(?<=\w)'(?=[\w«{])")
_HELD = re.compile(r"(?<=\S) (?=[:;?!»%](?:\s|$|[).,]))|(?<=«) |(?<=[\d}]) (?=(?:°C|kWh|kW|m²|m³|km|kg|min|h|€)(?!\w))")


def typeset(text: str, language: str) -> str:
    """A French text as it is printed; any other as it is."""
    if language != "fr":
        return text
    return _HELD.sub("\u00a0", _APOSTROPHE.sub("’", text))


@cache
def _locale(language: str) -> Locale:
    return Locale.parse("en_GB" if language == "en" else language)


@lru_cache(maxsize=50_000)
def _number(language: str, rounded: float, digits: int) -> str:
    """Pages are full of the same numbers, and writing one by the rules of a language takes a tenth of a millisecond."""
    pattern = "#,##0" + ("." + "0" * digits if digits else "")
    return str(format_decimal(rounded, format=pattern, locale=_locale(language))).replace("-", "−")


@lru_cache(maxsize=5_000)
def _day(language: str, day: date, pattern: str) -> str:
    """Whoever looks, it is at the same few days."""
    if language == "fr" and day.day == 1:
        pattern = _FIRST.sub("d'er'", pattern)
    return format_date(day, pattern, locale=_locale(language))


@lru_cache(maxsize=5_000)
def _moment(language: str, local: datetime, pattern: str) -> str:
    if language == "fr" and local.day == 1:
        pattern = _FIRST.sub("d'er'", pattern)
    return format_datetime(local, pattern, tzinfo=local.tzinfo, locale=_locale(language))


def chosen(asked: str | None, accept_language: str | None) -> str:
    """The language of a page: what the address asks for, else the browser's first that we speak."""
    if asked in LANGUAGES:
        return asked
    wanted = []
    for part in (accept_language or "")[:200].split(","):
        tag, _, weight = part.partition(";q=")
        try:
            wanted.append((-float(weight or 1), tag.strip()))
        except ValueError:
            continue
    ordered = [tag for weight, tag in sorted(wanted, key=lambda w: w[0]) if weight < 0 and tag]
    found = negotiate_locale(ordered, LANGUAGES, sep="-") if ordered else None
    return found or LANGUAGES[0]


@dataclass(frozen=True)
class Words:
    """One language, in the time zone of the site."""

    language: str
    zone: tzinfo

    @property
    def locale(self) -> Locale:
        return _locale(self.language)

    def text(self, english: str, **values: object) -> str:
        """`english` in this language, with {named} places filled in."""
        template = catalogue(self.language).get(english, english)
        return template.format(**values) if values else template

    def number(self, value: float | None, digits: int = 0) -> str:
        """A number with the language's comma and spaces; a dash when missing."""
        if value is None:
            return "–"
        return _number(self.language, round(value, digits) + 0.0, digits)

    def value(self, quantity: str, value: float | None) -> str:
        """A value with its unit, as this kind of quantity is read: `19.5 °C`, `on`, `85 %`."""
        if value is None:
            return "–"
        kind = dimension(quantity)
        if kind == "share":
            return f"{self.number(100 * value)}\u00a0%"
        if unit_suffix(quantity) == "on":
            return self.text("on") if value else self.text("off")
        if kind in ("state", "count"):
            return self.number(value)
        digits = {"temperature": 1, "temperature difference": 1, "carbon": 3, "price": 3, "speed": 1}.get(kind)
        if digits is None:
            digits = 0 if abs(value) >= 100 else 1
        return f"{self.number(value, digits)}\u00a0{unit_label(quantity)}"

    def fine(self, quantity: str, value: float | None) -> str:
        """A small amount with its unit, to two decimals below ten: `0.62 kWh`."""
        if value is None:
            return "–"
        return (
            f"{self.number(value, 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0)}\u00a0{unit_label(quantity)}"
        )

    def power(self, kw: float | None) -> str:
        return self.value("power_kw", kw)

    def euro(self, amount: float, digits: int = 2) -> str:
        return f"€{self.number(amount, digits)}" if self.language == "en" else f"{self.number(amount, digits)}\u00a0€"

    def age(self, age: timedelta | None) -> str:
        """How long ago: `12 s ago`, `3 min ago`."""
        return self.text("never") if age is None else self.text("{age} ago", age=self.span(age))

    def span(self, length: timedelta | None) -> str:
        """A length of time: `12 s`, `3 min`, `5 h`, `2 days`; a dash when unknown."""
        if length is None:
            return "–"
        seconds = max(0, int(length.total_seconds()))
        for limit, size, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
            if seconds < limit:
                return f"{seconds // size}\u00a0{unit}"
        return self.text("{days} days", days=seconds // 86_400)

    def clock(self, instant: datetime) -> str:
        """Local time of day, `19:30`."""
        local = instant.astimezone(self.zone)
        return f"{local.hour:02}:{local.minute:02}"  # the same in both languages

    def day(self, instant: datetime) -> str:
        """Local weekday and time, `Sat 19:30`."""
        return self._moment(instant, "EEE HH:mm")

    def moment(self, instant: datetime) -> str:
        """Local date and time, `21 Nov 2026, 19:30`."""
        return self._moment(instant, "d MMM y, HH:mm")

    def _moment(self, instant: datetime, pattern: str) -> str:
        return _moment(self.language, instant.astimezone(self.zone).replace(second=0, microsecond=0), pattern)

    def long_day(self, day: date) -> str:
        """A civil day: `Saturday 24 October 2026`."""
        return _day(self.language, day, "EEEE d MMMM y")

    def short_day(self, day: date) -> str:
        """A civil day of a known month: `Sat 24`."""
        return _day(self.language, day, "EEE d")

    def near_day(self, day: date) -> str:
        """A civil day of a known year: `Sat 24 Oct`."""
        return _day(self.language, day, "EEE d MMM")

    def month(self, day: date) -> str:
        """The month of a day: `October 2026`."""
        return _day(self.language, day, "LLLL y")

    def month_name(self, day: date) -> str:
        return _day(self.language, day, "LLLL")

    def month_letter(self, day: date) -> str:
        """The month in the narrowest form: `O`."""
        return _day(self.language, day, "LLLLL")

    def quantity(self, quantity: str) -> str:
        """The name of a quantity for people: `top temperature`; its unit stands with the value."""
        return self.text(plain(quantity))


def plain(quantity: str) -> str:
    """A quantity in English words, without its unit: `top_temperature_c` is `top temperature`."""
    bare = quantity.removesuffix(unit_suffix(quantity)).strip("_")
    return (bare or quantity).replace("_", " ")
