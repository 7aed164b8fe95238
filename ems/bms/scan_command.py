"""`ems scan`: what answers on a network, with progress, resumed where it was broken off."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table

from ems import defaults
from ems.bms.bacnet import Stack, own_address
from ems.bms.scan import Survey, files_of, hosts, scan_bacnet, scan_modbus
from ems.district import Bus, DeviceType, read_district

SURVEY = "survey.json"
BUILDINGS = defaults.folder("buildings")


def scan(
    addresses: Annotated[list[str], typer.Argument(help="10.0.0.7, 10.0.0.7-20 or 10.0.0.0/24; several if need be.")],
    protocol: Annotated[str, typer.Option(help="modbus, bacnet or both.")] = "both",
    units: Annotated[str, typer.Option(help="Modbus units to ask, such as 1-10 or 255.")] = "1-10",
    modbus_port: Annotated[int, typer.Option(min=1, max=65535, help="TCP port of the gateways.")] = 502,
    bacnet_port: Annotated[int, typer.Option(min=1, max=65535, help="UDP port of the stations.")] = 47808,
    bacnet_address: Annotated[
        str | None, typer.Option(help="Our own BACnet/IP address, such as 10.15.1.10/24:47809.")
    ] = None,
    into: Annotated[Path, typer.Option(help="Folder of the proposals and of what was asked.")] = Path("var/scan"),
    again: Annotated[bool, typer.Option("--again", help="Ask anew what an earlier scan asked.")] = False,
    buildings: Annotated[Path, typer.Option("--buildings", help="Folder whose device types are tried.")] = BUILDINGS,
) -> None:
    """Ask addresses what stands there, and propose device files and buses. Nothing is written to a device."""
    out = Console()
    if protocol not in ("modbus", "bacnet", "both"):
        raise typer.BadParameter(f"{protocol!r} is none; give modbus, bacnet or both", param_hint="--protocol")
    try:
        asked = [host for text in addresses for host in hosts(text)]
    except ValueError as fault:
        raise typer.BadParameter(str(fault), param_hint="ADDRESSES") from None
    first, _, last = units.partition("-")
    if not (first.isdigit() and (last or first).isdigit() and 0 < int(first) <= int(last or first) <= 255):
        raise typer.BadParameter(
            f"{units!r} is no range of units from 1 to 255; give 1-10 or 255", param_hint="--units"
        )
    numbers = range(int(first), int(last or first) + 1)
    into.mkdir(parents=True, exist_ok=True)
    survey = Survey() if again else Survey.read(into / SURVEY)
    types = read_district(buildings).device_types
    with Bar(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None)

        def progress(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        def keep() -> None:
            survey.store(into / SURVEY)

        async def ask() -> None:
            if protocol != "bacnet":
                await scan_modbus(asked, modbus_port, numbers, types, survey, keep, progress)
            if protocol != "modbus":
                stack = Stack(bacnet_address or own_address([Bus("scan/bus", "bacnet", asked[0], bacnet_port)]))
                await stack.start()
                try:
                    await scan_bacnet(asked, bacnet_port, stack, survey, keep, progress)
                finally:
                    await stack.stop()

        try:
            asyncio.run(ask())
        except ValueError as fault:
            raise typer.BadParameter(str(fault), param_hint="--bacnet-address") from None
    for name, text in files_of(survey).items():
        path = into / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    out.print(_table(survey, types))
    if not survey.found:
        out.print("Nothing answered: are the addresses, ports and units those of the gateways?")
        return
    out.print(f"{len(survey.found)} devices; proposals in {into}: check each line before it goes into buildings/.")


def _table(survey: Survey, types: Mapping[str, DeviceType]) -> Table:
    table = Table("where", "device", "fits", title="What answered", title_justify="left")
    for found in survey.found:
        place = f"unit {found.unit}" if found.unit is not None else f"device {found.instance}"
        fits = ", ".join(f"{types[name].model} ({share:.0%})" for name, share in found.types[:3] if name in types)
        points = (
            ""
            if found.proposal is None
            else f"described, {len(found.proposal.get('objects') or found.proposal['registers'])} points"
        )
        table.add_row(f"{found.host}:{found.port} {place}", found.name, fits or points)
    return table
