"""The command line: `ems check | district | run | demo | plan | schema | web`."""

from __future__ import annotations

import asyncio
import gc
import getpass
import json
import os
import resource
import signal
import sys
from contextlib import nullcontext, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Annotated, Any, Literal, cast

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from ems import defaults
from ems.backtest import app as forecast_app
from ems.bms import StandingError
from ems.bms.scan_command import scan
from ems.campaign.command import app as campaign
from ems.campaign.power_cuts import NoStraceError
from ems.commission.command import commission
from ems.demo import DemoSettings, DistrictGoneError, FolderTakenError, demo, report
from ems.demo import Progress as Step
from ems.district import District, DistrictError, describe, out_of_date, read_district, relocate, write_schemas
from ems.district.refusal import near
from ems.loop.alive import READY, STARTING, tell_supervisor
from ems.loop.bell import SchedulerBell
from ems.loop.clock import FastClock, RealClock
from ems.loop.control import Control, Event, NotLeaderError
from ems.loop.messages import MessagesError
from ems.loop.planner import LEARNT_FILE, MEMORY_BYTES, ChildPlanner
from ems.loop.release import release as release_control
from ems.loop.site import ClockReader, Site, controlled, end_with_input, pages, stop_on_signals
from ems.loop.supervise import BUSY, Patience, supervised
from ems.optimise import AT_LENGTH
from ems.shadow import app as shadow_app
from ems.simulate.replay import ReplayError
from ems.simulate.scenario import ScenarioError
from ems.store import Concern, LeadershipLost, People, Role, Store, StoreBusy, StoreError, sqlite_concern
from ems.store.backup import back_up, prune, read_backup
from ems.store.backup import restore as restore_backup
from ems.store.requests import DISTRICT, Handover
from ems.study.command import simulate
from ems.terminal import EVENT_STYLES, LivePanel, plan_view
from ems.web.listen import Listen, ListenError
from ems.web.organisation import OrganisationError, Provider, provider_of, read_client

# A district is some hundred thousand objects that live as long as the process, and a sweep makes thousands of
# short-lived ones: looking for rubbish after every 700 of them took two fifths of a study's time. Child processes come
# by here too.
gc.set_threshold(50_000, 20, 50)

app = typer.Typer(
    help="Energy management of a connected district: measured, forecast, planned and controlled every quarter-hour.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


class _Stderr:
    """Standard error of a process that outlives its readers: a log on a full disk or a lost terminal ends no loop."""

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)

    def write(self, text: str) -> int:
        with suppress(OSError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


out = Console()
err = Console(file=cast("IO[str]", _Stderr()), soft_wrap=True)

Buildings = Annotated[Path, typer.Option("--buildings", help="Folder of the district's YAML files.")]
Network = Annotated[int, typer.Option(min=0, max=254, help="Second number of the loopback addresses, 127.N.x.y.")]
Host = Annotated[str, typer.Option(help="Address to listen at; off loopback with a certificate or a proxy alone.")]
TlsCert = Annotated[Path | None, typer.Option(help="Certificate of the pages, PEM.")]
TlsKey = Annotated[Path | None, typer.Option(help="Its key, PEM.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port of the pages; 0 for none.")]
Scenario = Annotated[Path, typer.Option(help="Scenario folder, or the name of one in scenarios/: start, seed, replay.")]
Proxy = Annotated[str | None, typer.Option(help="Address of the reverse proxy that does TLS for us.")]
Origin = Annotated[
    str | None, typer.Option(help="What browsers know the pages by, as https://ems.example; for passkeys.")
]
Oidc = Annotated[
    Path | None, typer.Option(help="YAML with issuer, client_id, client_secret: where staff may sign in besides.")
]
BUILDINGS = defaults.folder("buildings")
SCENARIOS = defaults.folder("scenarios")


app.command()(simulate)
app.command()(scan)
app.command()(commission)
app.add_typer(campaign, name="campaign")
app.add_typer(forecast_app, name="forecast")
app.add_typer(shadow_app, name="shadow")


def main() -> None:
    """Runs the command line; what a person did wrong is told in a sentence, without a traceback."""
    try:
        app()
    except DistrictError as error:
        for refusal in error.refusals:
            err.print(str(refusal), style="red", highlight=False, soft_wrap=True)
        again = "" if sys.argv[1:2] == ["check"] else "; `ems check FOLDER` shows them again"
        err.print(f"{len(error.refusals)} fault(s) in the district's files{again}.", highlight=False)
        sys.exit(2)
    except (
        ScenarioError,
        ReplayError,
        StoreError,
        NotLeaderError,
        DistrictGoneError,
        FolderTakenError,
        MessagesError,
        NoStraceError,
        StandingError,
        OSError,
    ) as error:
        err.print(_told(error), style="red", highlight=False)
        sys.exit(2)


def _told(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


@app.command()
def check(buildings: Annotated[Path, typer.Argument(help="Folder of a district.")] = BUILDINGS) -> None:
    """Validate a district's files: every fault with file, key, value and what would be right."""
    district = read_district(buildings)
    lapsed = out_of_date(district, RealClock().now().date())
    table = Table("what", "how many", "of which", title=f"{district.label.fr} ({buildings})", title_justify="left")
    for fact in describe(district):
        table.add_row(fact.what, str(fact.count), fact.detail)
    out.print(table)
    for refusal in lapsed:
        err.print(str(refusal), style="yellow", highlight=False)
    out.print("No fault found." if not lapsed else f"No fault in the files; {len(lapsed)} out of date today.")


@app.command()
def schema(buildings: Annotated[Path, typer.Argument(help="Folder of a district.")] = BUILDINGS) -> None:
    """Write the JSON Schema of each kind of file into schema/, for editors that complete and check YAML."""
    if not buildings.is_dir():
        raise typer.BadParameter(f"{buildings} is no folder; give a district's, or make it first", param_hint="FOLDER")
    for path in write_schemas(buildings):
        out.print(f"wrote {path}")


@app.command()
def district(
    buildings: Buildings = BUILDINGS,
    scenario: Scenario = SCENARIOS / "ordinary",
    data: Annotated[Path | None, typer.Option(help="Folder of measured series that the scenario replays.")] = None,
    network: Network = 0,
    seed: Annotated[int, typer.Option(help="Draws people, weather and the true buildings.")] = 1,
    speed: Annotated[float, typer.Option(help="Site seconds per real second.")] = 1.0,
    weather_file: Annotated[Path | None, typer.Option(help="Where to leave the weather forecast.")] = None,
    follow: Annotated[bool, typer.Option("--follow", hidden=True)] = False,
) -> None:
    """Serve the digital district alone: real BACnet/IP and Modbus/TCP devices on loopback."""
    from ems.simulate.plant import World
    from ems.simulate.replay import Replay
    from ems.simulate.scenario import read_scenario, scenario_folder
    from ems.simulate.serve import ServedDistrict, keep_pace
    from ems.simulate.serve import follow as follow_orders
    from ems.simulate.servers import FieldServers
    from ems.simulate.weather import Weather

    _speed(str(speed))  # said now, not when the clock is made
    plan_of_day = read_scenario(scenario_folder(scenario))
    wired = relocate(read_district(buildings), network)
    start = plan_of_day.start if follow or speed != 1.0 else _whole_minute(RealClock().now())
    weather = Weather(wired.place, seed)
    replay = Replay.asked(plan_of_day, data, wired.wires)
    world = World(wired, start=start, seed=seed, weather=weather, replay=replay)
    served = ServedDistrict(world, FieldServers(wired, world), weather, weather_file)

    async def serve() -> None:
        await served.start()
        try:
            if follow:
                print(json.dumps({"at": world.now.isoformat()}), flush=True)
                await follow_orders(served, _lines(), lambda line: print(line, flush=True))
            else:
                stopped = asyncio.Event()
                for name in (signal.SIGINT, signal.SIGTERM):
                    asyncio.get_running_loop().add_signal_handler(name, stopped.set)
                err.print(
                    f"{len(wired.devices)} devices on {len(wired.buses)} buses answer on loopback, "
                    f"site time {world.now:%Y-%m-%d %H:%M} UTC at speed {speed:g}. Ctrl-C ends it."
                )
                clock = FastClock(start, speed)
                pacing = asyncio.create_task(clock.run())
                await keep_pace(served, RealClock().now if speed == 1.0 else clock.now, stopped)
                pacing.cancel()
        finally:
            await served.stop()

    asyncio.run(serve())


async def _lines() -> Any:
    """Lines of standard input as they come."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield line.decode()


def _whole_minute(now: datetime) -> datetime:
    return now.replace(second=0, microsecond=0)


@app.command()
def run(
    buildings: Buildings = BUILDINGS,
    folder: Annotated[Path, typer.Option(help="Where the site keeps its database and files.")] = Path("var/site"),
    network: Network = 0,
    bacnet_address: Annotated[
        str | None,
        typer.Option(help="Our own BACnet/IP address, such as 10.15.1.10/24:47808; on loopback one is chosen."),
    ] = None,
    port: Port = 8000,
    host: Host = "127.0.0.1",
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    proxy: Proxy = None,
    origin: Origin = None,
    oidc: Oidc = None,
    cycles: Annotated[int | None, typer.Option(min=1, help="Stop after so many cycles.")] = None,
    sweep_minutes: Annotated[int, typer.Option(min=1, help="Minutes between two sweeps of all points.")] = 1,
    restart: Annotated[
        bool, typer.Option("--restart/--no-restart", help="Start the control process again when it ends or hangs.")
    ] = True,
    strict_sqlite: Annotated[
        bool,
        typer.Option("--strict-sqlite", help="Refuse to run on a SQLite version with a known way to corrupt a file."),
    ] = False,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Everything but the write; `ems shadow report` says what would have been.")
    ] = False,
    existing: Annotated[
        bool,
        typer.Option("--existing", help="Make no new site: where the folder holds none, its disk is waited for."),
    ] = False,
    follows: Annotated[bool, typer.Option("--end-with-input", hidden=True)] = False,
) -> None:
    """Control the district in real time: read, forecast, plan, write, every quarter-hour, until Ctrl-C."""
    if strict_sqlite and (concern := sqlite_concern()) is not None:
        raise StoreError(concern.text)
    listen = _listen(port, host, tls_cert, tls_key, proxy, origin)
    _provider(oidc, listen)  # said now, not by a page that never comes
    site = Site(folder)
    if follows:
        end_with_input(Patience().leaving)
    if restart:
        if not existing and not Store.is_at(site.store_url):
            Store.open(site.store_url).close()  # made here or nowhere: a process that is started again finds its site
        command = [sys.executable, "-m", "ems", *sys.argv[1:], "--no-restart", "--existing", "--end-with-input"]
        code = asyncio.run(supervised(command, lambda text: err.print(text, style="yellow", highlight=False)))
        sys.exit(code)
    wired = relocate(read_district(buildings), network)
    site.clock_file.unlink(missing_ok=True)  # this site lives in real time

    async def operate() -> None:
        planner = ChildPlanner(wired, learnt_file=site.folder / LEARNT_FILE)
        store = Store.open(
            site.store_url,
            attempts=1,
            report=_print_concern,
            create=not existing,
            working=lambda: tell_supervisor(STARTING),
        )
        async with (
            controlled(
                wired,
                site,
                store=store,
                planner=planner,
                bacnet_address=bacnet_address,
                clock=RealClock(),
                bell=SchedulerBell(60.0),
                sweep_every=timedelta(minutes=sweep_minutes),
                on_event=_print_event,
                on_cycle=_show_cycle,
                shadow=shadow,
            ) as control,
            pages(
                site,
                buildings,
                port,
                lambda text: control.watch.wrong("part-failed", "pages", text),
                [*listen.arguments, *(() if oidc is None else ("--oidc", str(oidc)))],
                listen.address,
            ) as address,
        ):
            stop_on_signals(control)
            tell_supervisor(READY)
            does, ends = ("Observing", "ends it") if shadow else ("Controlling", "gives every device back")
            err.print(f"{does} {wired.label.fr}. {_where(address)}Ctrl-C {ends}.")
            await control.run(cycles)
        store.close()

    try:
        asyncio.run(operate())
    except (NotLeaderError, LeadershipLost, StoreBusy, OSError) as error:
        # A state of the world, which passes: whoever supervises this tries again.
        err.print(str(error), style="red", highlight=False)
        sys.exit(BUSY)


@app.command()
def release(
    building: Annotated[str | None, typer.Argument(help="A building's name; without one, the whole district.")] = None,
    folder: Annotated[Path, typer.Option(help="Where the site keeps its database and files.")] = Path("var/site"),
    buildings: Buildings = BUILDINGS,
    network: Network = 0,
    bacnet_address: Annotated[str | None, typer.Option(help="Our own BACnet/IP address.")] = None,
    by: Annotated[str, typer.Option(help="Who asks.")] = getpass.getuser(),
    reason: Annotated[str, typer.Option(help="Why, for those who will read it.")] = "",
    take: Annotated[bool, typer.Option("--take", help="Take control again instead.")] = False,
) -> None:
    """Give control back to the devices (rendre la main); needs neither planner nor database."""
    what = building or DISTRICT
    if take:
        known = Handover(folder).take(what)
        if not known and building is not None:
            _need_building(read_district(buildings), building)
        out.print("Control is taken again with the next plan." if known else "It was not handed back.")
        return
    wired = relocate(read_district(buildings), network)
    if not Store.is_at(Site(folder).store_url):
        err.print(
            f"{folder} holds no site: a control process that keeps another folder will write again; "
            "give that one as --folder.",
            style="yellow",
            highlight=False,
        )
    try:
        done = asyncio.run(
            release_control(wired, folder, what, by, RealClock().now(), reason=reason, bacnet_address=bacnet_address)
        )
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="BUILDING") from error
    if done.by_loop:
        out.print("The control process has given it back, and leaves it alone until `ems release --take`.")
        return
    out.print(f"{len(done.released)} points given back from here; nothing is written there until `--take`.")
    for point, why in done.failed.items():
        err.print(f"{point}: {why}", style="red", highlight=False)
    if done.failed:
        sys.exit(1)


@app.command()
def backup(
    into: Annotated[Path, typer.Argument(help="Folder of back-ups; each is a folder in it.")],
    folder: Annotated[Path, typer.Option(help="Where the site keeps its database and files.")] = Path("var/site"),
) -> None:
    """Back a site up while it runs: every database of one instant, looked through, with digests.

    Then older back-ups of this site in the folder go: all of the last 48 hours stay, the last of each of 30 days, the
    last of each of 12 months. Refused (exit code 2) when less than 1 GB would be left on the disk.
    """
    made = back_up(folder, into, RealClock().now())
    out.print(f"{made.folder}: {', '.join(made.digests)}")
    if gone := prune(into, folder):
        out.print(f"{len(gone)} older ones removed, for which later ones stand: {gone[0].name} to {gone[-1].name}")


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(help="A folder that `ems backup` made.")],
    folder: Annotated[Path, typer.Option(help="Where the site keeps its database and files.")] = Path("var/site"),
) -> None:
    """Put a back-up in the place of a stopped site's files; those are kept beside."""
    kept = restore_backup(read_backup(source), folder, RealClock().now())
    out.print(f"Restored into {folder}." + ("" if kept is None else f" What was there is in {kept}."))


@app.command("demo")
def run_demo(
    buildings: Buildings = BUILDINGS,
    scenario: Scenario = SCENARIOS / "ordinary",
    data: Annotated[Path | None, typer.Option(help="Folder of measured series that the scenario replays.")] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where the demo keeps its database; var/demo, by network.")
    ] = None,
    speed: Annotated[str, typer.Option(help="Site seconds per real second, or `max` for lock-step.")] = "60",
    cycles: Annotated[int | None, typer.Option(min=1, help="Stop after so many cycles.")] = None,
    headless: Annotated[bool, typer.Option("--headless", help="No pages and no panel.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON line of figures.")] = False,
    network: Annotated[
        int | None, typer.Option(min=0, max=254, help="Loopback network, 127.N.x.y; the first free one.")
    ] = None,
    port: Port = 8000,
    history_days: Annotated[int, typer.Option(min=0, help="Days of simulated past.")] = 35,
    sweep_minutes: Annotated[int | None, typer.Option(min=1, help="Site minutes between sweeps.")] = None,
    seed: Annotated[int, typer.Option(help="Draws people, weather and the true buildings.")] = 1,
    shadow: Annotated[bool, typer.Option("--shadow", help="Everything but the write.")] = False,
) -> None:
    """The simulated district on real sockets, controlled, with pages: the whole way of a decision."""
    from ems.simulate.scenario import scenario_folder

    pace = _speed(speed)
    scenario = scenario_folder(scenario)
    if network is None:
        network = _free_network(read_district(buildings))
    settings = DemoSettings(
        buildings=buildings,
        scenario=scenario,
        folder=folder or Path("var") / (f"demo-{network}" if network else "demo"),
        data=data,
        speed=pace,
        cycles=cycles,
        network=network,
        port=0 if headless else port,
        history_days=history_days,
        sweep_minutes=sweep_minutes or (15 if pace is None else 5),
        seed=seed,
        shadow=shadow,
    )
    shown = LivePanel(read_district(buildings))
    drawn = not headless and err.is_terminal
    if drawn and data is None:
        from ems.simulate.scenario import read_scenario
        from ems.study.shadow import Shadow

        shown.shadow = Shadow(shown.district, read_scenario(scenario), seed)

    def show_progress(step: Step) -> None:
        shown.progress(step.what, step.done, step.total)

    def show_ready(control: Control, address: str | None, codes: dict[str, str]) -> None:
        shown.control, shown.address, shown.codes = control, address, codes
        if not drawn:
            err.print(
                f"Controlling {len(control.district.dwellings)} dwellings. {_where(address)}Ctrl-C gives them back."
            )

    async def show_cycle(control: Control, _: object) -> None:
        if not drawn:
            await _show_cycle(control)
        elif shown.shadow is not None:
            await shown.shadow.follow(control.samples, control.clock.now())

    begun = RealClock().now()
    with Live(shown, console=err, refresh_per_second=2) if drawn else nullcontext():
        totals, wired = asyncio.run(
            demo(
                settings,
                on_event=lambda event: None if drawn and event.kind != "info" else _print_event(event),
                on_progress=show_progress,
                on_cycle=show_cycle,
                on_ready=show_ready,
            )
        )
    figures = report(totals, wired, settings) | {"seconds": round((RealClock().now() - begun).total_seconds(), 1)}
    if as_json:
        print(json.dumps(figures))
    else:
        table = Table("figure", "value", title="What this run did", title_justify="left")
        for key, value in figures.items():
            table.add_row(key.replace("_", " "), str(value))
        out.print(table)
    if cycles is not None and totals.plans < cycles:
        err.print(f"only {totals.plans} of {cycles} cycles ended with a plan", style="red")
        sys.exit(1)


@app.command()
def plan(
    buildings: Buildings = BUILDINGS,
    folder: Annotated[Path | None, typer.Option(help="Folder of a running site: plan from its last readings.")] = None,
    scenario: Annotated[
        Path, typer.Option(help="Without a site: plan the simulated district at this scenario's start.")
    ] = SCENARIOS / "ordinary",
    slots: Annotated[int, typer.Option(min=4, max=288, help="Quarter-hours to plan.")] = 192,
    seed: Annotated[int, typer.Option(help="Draws people, weather and the true buildings.")] = 1,
    language: Annotated[Literal["fr", "en"], typer.Option(help="Of reasons, set points and shortfalls.")] = "en",
    reasons_seconds: Annotated[float, typer.Option(min=0, help="What re-solves for reasons may take.")] = 30.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole plan as JSON.")] = False,
) -> None:
    """Plan once and write nothing: a chart, costs, assets, set points, reasons, shortfalls, and how good it is."""
    from ems.dry_run import from_scenario, from_site, planned
    from ems.simulate.scenario import scenario_folder

    wired = read_district(buildings)
    with err.status("reading, forecasting, planning"):
        known = (
            from_scenario(wired, scenario_folder(scenario), seed) if folder is None else from_site(wired, Site(folder))
        )
        begun = RealClock().now()
        result = planned(wired, known, slots, replace(AT_LENGTH, seconds=reasons_seconds))
        seconds = (RealClock().now() - begun).total_seconds()
    if as_json:
        print(json.dumps(result.to_json() | {"seconds": round(seconds, 2)}))
    else:
        out.print(plan_view(result, wired, seconds, out.width, language))


@app.command("what-if")
def what_if(
    buildings: Buildings = BUILDINGS,
    folder: Annotated[Path, typer.Option(help="Where the site keeps its database and files.")] = Path("var/site"),
) -> None:
    """Answer what managers asked of the plan: what would it cost if? `ems run` and `ems demo` start it themselves."""
    from ems.what_if import answer_all

    if not folder.is_dir():
        raise typer.BadParameter(f"{folder} does not exist; give the folder that a site keeps", param_hint="--folder")
    os.nice(15)  # control comes first
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]))
    count = answer_all(read_district(buildings), Site(folder), RealClock().now)
    err.print(f"{count} answered in {folder / 'questions'}.")


@app.command()
def invite(
    name: Annotated[str, typer.Argument(help="Who signs in: a name for a manager, or building/flat for a resident.")],
    folder: Annotated[Path, typer.Option(help="Where the site keeps its database and files.")] = Path("var/site"),
    role: Annotated[str, typer.Option(help="Of staff: manager, auditor, or admin, who may invite those.")] = "manager",
    buildings: Buildings = BUILDINGS,
) -> None:
    """Print a new code to sign in with; the code before it ends."""
    staff: dict[str, Role] = {"manager": "manager", "auditor": "auditor", "admin": "admin"}
    if role not in staff:
        raise typer.BadParameter(f"{role!r} is none of {', '.join(staff)}", param_hint="--role")
    wired = read_district(buildings)
    homes = wired.dwellings
    if "/" in name and name not in homes:
        like = near(name, homes) or f"; give building/flat, as {next(iter(homes), 'none of which is here')}"
        raise typer.BadParameter(f"{name} is no dwelling of {buildings}{like}", param_hint="NAME")
    if name in wired.buildings:
        raise typer.BadParameter(f"{name} is a building; give a person's name, or building/flat", param_hint="NAME")
    folder.mkdir(parents=True, exist_ok=True)
    people = People.open(Site(folder).people_url)
    try:
        home = name if name in homes else None
        code = people.invite(name, "resident" if home else staff[role], home, RealClock().now())
    finally:
        people.close()
    out.print(code)


@app.command()
def web(
    store: Annotated[str, typer.Option(help="URL of the site's store, as sqlite:///var/site/site.db.")],
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the pages.")] = 8000,
    host: Host = "127.0.0.1",
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    proxy: Proxy = None,
    origin: Origin = None,
    oidc: Oidc = None,
    people: Annotated[
        str | None, typer.Option(help="URL of the accounts, people.db there; without, only what everybody may see.")
    ] = None,
    clock_file: Annotated[Path | None, typer.Option(help="Site time, when it is not real time.")] = None,
    folder: Annotated[
        Path | None, typer.Option(help="The site's folder, where control can be handed back without any database.")
    ] = None,
    buildings: Buildings = BUILDINGS,
    follows: Annotated[bool, typer.Option("--end-with-input", hidden=True)] = False,
) -> None:
    """Serve the pages alone, from a store that another process writes."""
    if follows:
        end_with_input()  # before all that takes time
    import os

    import uvicorn

    from ems.web import create_app

    for option, url in (("--store", store), ("--people", people)):
        if url is not None and "://" not in url:
            raise typer.BadParameter(f"{url} is no URL; of a file it is sqlite:///{url}", param_hint=option)
    listen = _listen(port, host, tls_cert, tls_key, proxy, origin)
    os.nice(5)  # the loop comes first: however many pages are asked for, it keeps its time
    real = RealClock()
    pages_app = create_app(
        store,
        ClockReader(clock_file, real).now,
        read_district(buildings),
        # Made only where there is a site: not in the mount point of a disk that is away.
        None if people is None else People.open(people, create=Store.is_at(store)),
        real.now,
        folder,
        origin=listen.known_as,
        provider=_provider(oidc, listen),
    )
    if not follows:
        if not Store.is_at(store):
            err.print(f"There is no database at {store} yet; the pages wait for one.", style="yellow", highlight=False)
        err.print(f"{_where(listen.address)}Ctrl-C ends it.", highlight=False)
    # Open pages listen for ever: they are let go after two seconds.
    uvicorn.run(listen.before(pages_app), log_level="warning", timeout_graceful_shutdown=2, **listen.server)


def _need_building(district: District, name: str) -> None:
    if name not in district.buildings:
        known = ", ".join(sorted(district.buildings))
        raise typer.BadParameter(f"{name} is no building; there are {known}", param_hint="BUILDING")


def _listen(
    port: int, host: str, tls_cert: Path | None, tls_key: Path | None, proxy: str | None, origin: str | None
) -> Listen:
    try:
        return Listen(port, host, tls_cert, tls_key, proxy, origin)
    except ListenError as error:
        raise typer.BadParameter(str(error)) from error


def _provider(oidc: Path | None, listen: Listen) -> Provider | None:
    if oidc is None:
        return None
    if listen.known_as is None:
        raise typer.BadParameter("the provider sends browsers back to a name; give --origin", param_hint="--oidc")
    try:
        return provider_of(read_client(oidc))
    except OrganisationError as error:
        raise typer.BadParameter(str(error), param_hint="--oidc") from error


def _where(address: str | None) -> str:
    return "" if address is None else f"Pages: {address}  "


def _print_event(event: Event) -> None:
    err.print(str(event), style=EVENT_STYLES.get(event.kind, ""), highlight=False, soft_wrap=True)


def _print_concern(concern: Concern) -> None:
    if concern.name != "store-busy":  # the loop says that itself, with an alarm and a recovery
        err.print(f"{concern.name}: {concern.text}", style="yellow", highlight=False)


async def _show_cycle(control: Control) -> None:
    totals, plan = control.totals, control.plan
    cost = "" if plan is None else f", {sum(plan.cost_terms.values()):.0f} EUR over the horizon"
    seconds = f"{totals.plan_seconds[-1]:.1f} s" if totals.plan_seconds else "no plan"
    err.print(
        f"{control.clock.now():%Y-%m-%d %H:%M} UTC  {totals.points_read} points read, plan in {seconds}{cost}, "
        + (
            f"shadow mode: {totals.withheld} set points withheld so far"
            if control.settings.shadow
            else f"{totals.setpoints_confirmed}/{totals.setpoints_written} set points confirmed so far"
        ),
        highlight=False,
    )


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if speed <= 0:
        raise typer.BadParameter(f"{text!r} is no speed; give a positive number, or max", param_hint="--speed")
    return speed


def _free_network(district: District) -> int:
    """The first loopback network on which no bus of the district is taken, so that two demos can run at once."""
    import socket

    for network in range(40):
        bus = next(b for b in relocate(district, network).buses.values() if b.protocol == "modbus")
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((bus.host, bus.port))
            except OSError:
                continue
            return network
    raise typer.BadParameter("no free loopback network among 127.0.x.y to 127.39.x.y", param_hint="--network")


if __name__ == "__main__":
    main()
