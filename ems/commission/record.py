"""What a commissioning has found, on disk after each point, and sealed at its end.

Each point's record carries the SHA-256 of itself and of the record before it, so that none can be changed, left out or
put elsewhere without every later one changing. The seal is an HMAC-SHA256 of the last of them, the name that was typed
and the instant, under a key that lies in the site's folder.

What that proves: whoever has the key can show that a report is word for word the one that was sealed with it, on this
site, under this name. It does not prove who typed the name, nor does it bind somebody who has the key. Without the key
the chain alone shows carelessness and damage, not intent.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

VERSION = 1
Result = Literal["passed", "partly", "failed"]


@dataclass
class PointRecord:
    """One point. Numbers in the unit of its name; None is not measured, not asked, or not done."""

    point: str
    device: str  # the device type's file
    place: str  # bus, address, unit and register, or object
    unit: str
    at: str
    quality: str
    value: float | None = None
    raw: float | None = None
    second: str = ""  # the other source, as it was given
    second_value: float | None = None
    comparison: str = ""
    holders: dict[str, float] | None = None  # BACnet: who holds the point, by priority, before anything was written
    wrote: float | None = None
    write: str = ""  # what came of it
    seen: str = ""  # whether the person saw the device do it
    given_back: str = ""
    remark: str = ""
    result: Result = "partly"
    why: str = ""
    digest: str = ""


@dataclass
class Record:
    """A commissioning of one building."""

    building: str
    label: str
    begun: str
    devices: dict[str, dict[str, str]] = field(default_factory=dict)  # what each device says of itself, by asset
    points: list[PointRecord] = field(default_factory=list)
    signed_by: str = ""
    signed_at: str = ""
    seal: str = ""
    version: int = VERSION

    @staticmethod
    def read(path: Path) -> Record | None:
        """A record that was broken off; None without a file. Raises ValueError for one that is none of ours."""
        if not path.exists():
            return None
        try:
            return Record.of(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError, KeyError) as fault:
            raise ValueError(
                f"{path} is no record of a commissioning ({fault}); move it away, or use --again"
            ) from None

    @staticmethod
    def of(content: dict[str, Any]) -> Record:
        if content.get("version") != VERSION:
            raise ValueError(f"version is {content.get('version')}; this programme knows {VERSION}")
        return Record(**{**content, "points": [PointRecord(**item) for item in content["points"]]})

    def store(self, path: Path) -> None:
        """On disk whole or not at all."""
        torn = path.with_suffix(".tmp")
        with torn.open("w", encoding="utf-8") as file:
            json.dump(asdict(self), file, indent=1, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        torn.replace(path)

    def keep(self, made: PointRecord) -> None:
        """Put a point's record in the place of an older one, or at the end; a seal is void with that."""
        self.signed_by = self.signed_at = self.seal = ""
        self.points = [item for item in self.points if item.point != made.point] + [made]
        _chain(self)

    def known(self) -> set[str]:
        return {item.point for item in self.points}


def sealed(record: Record, name: str, at: str, key: bytes) -> Record:
    """The record signed with a name, and sealed. Raises ValueError without a name."""
    if not name.strip():
        raise ValueError("a report is signed with a name; type yours")
    record.signed_by, record.signed_at = name.strip(), at
    _chain(record)
    record.seal = _seal(record, key)
    return record


def verified(record: Record, key: bytes | None) -> str | None:
    """Why a record is not the one that was sealed, or None. Without a key only the chain is looked at."""
    before = _head(record)
    for item in record.points:
        before = _digest(before, item)
        if item.digest != before:
            return f"{item.point}: it, or one before it, was changed after it was recorded"
    if not record.seal:
        return "it was never signed"
    if key is not None and not hmac.compare_digest(record.seal, _seal(record, key)):
        return "the seal is not of this site's key: name, date or devices were changed, or it is another site's"
    return None


def site_key(folder: Path) -> bytes:
    """The key of a site's seals; made at first use, for its owner's eyes only."""
    path = folder / "commission.key"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(32))
    return bytes.fromhex(path.read_text().strip())


def _chain(record: Record) -> None:
    before = _head(record)
    for item in record.points:
        item.digest = before = _digest(before, item)


def _head(record: Record) -> str:
    return _sha({"building": record.building, "label": record.label, "begun": record.begun})


def _digest(before: str, item: PointRecord) -> str:
    return _sha({"before": before, **asdict(item), "digest": ""})


def _seal(record: Record, key: bytes) -> str:
    last = record.points[-1].digest if record.points else _head(record)
    text = json.dumps(
        [last, record.devices, record.signed_by, record.signed_at, record.version], sort_keys=True, ensure_ascii=False
    )
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _sha(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
