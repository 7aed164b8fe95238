"""Who was erased when: a list beside the databases that no restore takes back.

A back-up made before somebody was erased still holds them. So each erasure is noted in a file of the site's folder too,
which `ems backup` also keeps beside the back-ups, and `ems restore` erases everybody in either anew. The list holds
homes and instants, no person's name: who lived there is told by the very back-up that is put in order.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from ems.slots import as_utc
from ems.store.database import StoreError
from ems.store.requests import locked, write_whole

FILE = "erased.json"


def known(folder: Path) -> set[tuple[str, datetime]]:
    """Every (home, until when) on the list of a folder. Raises StoreError for a list that nobody can read."""
    path = folder / FILE
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
        return {(str(one["home"]), datetime.fromisoformat(one["at"])) for one in listed}
    except FileNotFoundError:
        return set()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{path} cannot be read ({error}); it says who was erased: put the copy beside the back-ups in its place"
        ) from error


def add(folder: Path, more: set[tuple[str, datetime]]) -> None:
    """Put erasures on the list of a folder; when this returns they outlive a power cut."""
    with locked(folder / f".{FILE}.lock"):
        before = known(folder)
        if more <= before:
            return
        listed = [{"home": home, "at": as_utc(at).isoformat()} for home, at in sorted(before | more)]
        write_whole(folder / FILE, json.dumps(listed, indent=1))
