"""`ems commission`: the walk in a terminal, resumed where it was broken off, and the check of a report."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from ems import defaults
from ems.bms import Field, dead_man
from ems.commission.person import Answers, AnswersError, Person, Terminal
from ems.commission.record import Record, sealed, site_key
from ems.commission.report import check, html
from ems.commission.walk import Walk
from ems.district import Wire, read_district, relocate
from ems.loop.clock import RealClock
from ems.loop.site import Site
from ems.store.requests import DISTRICT, Handover

BUILDINGS = defaults.folder("buildings")
RECORD, REPORT = "record.json", "report.html"


def commission(
    building: Annotated[str, typer.Argument(help="A building's name; with --check, a report's file.")],
    folder: Annotated[Path, typer.Option(help="Where the site keeps its files; its key seals.")] = Path("var/site"),
    into: Annotated[
        Path | None, typer.Option(help="Folder of the record and the report; var/commission/BUILDING.")
    ] = None,
    answers: Annotated[Path | None, typer.Option(help="YAML that answers instead of a person.")] = None,
    only: Annotated[str, typer.Option(help="Walk only points whose name holds this.")] = "",
    again: Annotated[bool, typer.Option("--again", help="Walk anew what has a record.")] = False,
    language: Annotated[Literal["fr", "en"], typer.Option(help="Of the report.")] = "fr",
    check_report: Annotated[bool, typer.Option("--check", help="Verify a report instead.")] = False,
    buildings: Annotated[Path, typer.Option("--buildings", help="Folder of the district's YAML files.")] = BUILDINGS,
    network: Annotated[int, typer.Option(min=0, max=254, help="Second number of the loopback addresses.")] = 0,
    bacnet_address: Annotated[str | None, typer.Option(help="Our own BACnet/IP address.")] = None,
) -> None:
    """Walk each point of a building: read, compare, write and give back with a yes, and sign a report of it."""
    out = Console(soft_wrap=True)
    if check_report:
        _check(Path(building), folder, out)
        return
    district = relocate(read_district(buildings), network)
    if building not in district.buildings:
        known = ", ".join(sorted(district.buildings))
        raise typer.BadParameter(f"{building} is no building; there are {known}", param_hint="BUILDING")
    mine = {point: wire for point, wire in district.wires.items() if point.startswith(f"{building}/")}
    wires = {point: wire for point, wire in mine.items() if only in point}
    if not wires:
        raise typer.BadParameter(f"no point of {building} holds {only!r}", param_hint="--only")
    target = into or Path("var/commission") / building
    target.mkdir(parents=True, exist_ok=True)
    try:
        person: Person = Terminal(out) if answers is None else Answers(answers, out)
        record = None if again else Record.read(target / RECORD)
    except (AnswersError, ValueError) as fault:
        raise typer.BadParameter(str(fault)) from None
    clock = RealClock()
    if record is None:
        label = district.buildings[building].label.fr
        record = Record(building, label, clock.now().isoformat(timespec="seconds"))
    elif record.building != building:
        raise typer.BadParameter(f"{target} holds the record of {record.building}", param_hint="--into")
    known_points = len(record.known() & wires.keys())
    if known_points:
        out.print(f"{known_points} of {len(wires)} points have a record already; --again walks them anew.")
    objection = may_not_write(folder, building)
    if objection is not None:
        out.print(objection, style="yellow", highlight=False)
    try:
        asyncio.run(_walk(record, mine, wires, person, clock, target, objection, bacnet_address))
    except KeyboardInterrupt:
        out.print(f"\nBroken off; what was walked is in {target / RECORD}, and the same line goes on.")
    name = person.name() if wires.keys() <= record.known() else ""
    if name:
        sealed(record, name, clock.now().isoformat(timespec="seconds"), site_key(folder))
        record.store(target / RECORD)
    (target / REPORT).write_text(html(record, language), encoding="utf-8")
    results = [item.result for item in record.points]
    counted = ", ".join(f"{results.count(r)} {r}" for r in ("passed", "partly", "failed") if r in results)
    out.print(f"{counted or 'nothing walked'}. Report: {target / REPORT}" + ("" if name else ", not signed yet."))
    if "failed" in results:
        sys.exit(1)


async def _walk(
    record: Record, mine: dict[str, Wire], wires: dict[str, Wire], person: Person, clock: RealClock, target: Path,
    objection: str | None, bacnet_address: str | None,
) -> None:  # fmt: skip
    def now() -> datetime:
        return clock.now()

    def told(text: str) -> None:
        person.tell(text, "yellow")

    # Whatever happens to this process, its dead-man takes a trial command back.
    async with dead_man(target, told) as mirror:
        field = Field(mine, bacnet_address=bacnet_address, mirror=mirror)
        await field.start()
        try:
            await Walk(record, wires, field, person, now, lambda r: r.store(target / RECORD), objection).run()
        finally:
            await field.stop()


def may_not_write(folder: Path, building: str) -> str | None:
    """Why nothing may be written: a control process has the site, and has not given this building back."""
    given = Handover(folder).given()
    if building in given or DISTRICT in given:
        return None
    lock = Path(Site(folder).store_url.removeprefix("sqlite:///") + ".lock")
    if not lock.exists():
        return None
    handle = os.open(lock, os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return (
            f"A control process runs in {folder}: nothing is written. "
            f"`ems release {building} --folder {folder}` gives the building back first."
        )
    finally:
        os.close(handle)
    return None


def _check(path: Path, folder: Path, out: Console) -> None:
    key = folder / "commission.key"
    try:
        why = check(path, site_key(folder) if key.exists() else None)
    except (OSError, ValueError) as fault:
        raise typer.BadParameter(str(fault), param_hint="REPORT") from None
    if why is not None:
        out.print(f"{path}: {why}", style="red", highlight=False)
        sys.exit(1)
    known = "as it was sealed" if key.exists() else f"whole; without {key} its seal cannot be verified"
    out.print(f"{path} is {known}.", highlight=False)
