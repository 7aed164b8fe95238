"""The connection to a database: how SQLite is opened, who writes when, and what happens when somebody holds the lock.

SQLite: write-ahead log, synchronous=FULL (NORMAL loses acknowledged commits at a power cut, and two rows a second
cost nothing), one writing connection per process, which alone checkpoints, and a few that only read. PostgreSQL: the
same calls, with a lock time-out.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

T = TypeVar("T")
Rows = Sequence[tuple[Any, ...]]

_READERS = 4  # connections kept open between transactions
_WAL_LIMIT_BYTES = 32 * 1024 * 1024  # what is left of the log after a busy hour; with full devices it was seen at 64
_UNUSABLE = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_CANTOPEN,  # storage that went away
)
_STEPS_A_SIGN = 10_000_000  # of SQLite's machine, between two signs of life: a good second
_OLDEST_SQLITE = (3, 37, 0)  # STRICT tables


@dataclass(frozen=True)
class Concern:
    """Something a person should know: a name to count it by, and a sentence."""

    name: str
    text: str


Report = Callable[[Concern], None]


class StoreError(Exception):
    """The database is not what it should be; the text says what to do."""


class StoreBusy(StoreError):  # noqa: N818 -- a state of the world, not a mistake
    """The database cannot be used now: held, full, read-only, away or damaged. Nothing was changed."""

    def __init__(self, what: str, waited_s: float, why: str) -> None:
        super().__init__(f"{what}: the database cannot be used, tried for {waited_s:g} s ({why})")
        self.what = what
        self.waited_s = waited_s


def sqlite_concern(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> Concern | None:
    """The WAL-reset bug: with WAL and two connections, a checkpoint at the wrong moment may corrupt the file.

    In SQLite 3.7.0 to 3.51.2; fixed in 3.51.3, and in 3.44.6 and 3.50.7 of the older lines.
    """
    fixed = version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    if fixed or version < (3, 7, 0):
        return None
    shown = ".".join(map(str, version))
    return Concern(
        "sqlite-wal-reset",
        f"SQLite {shown} has the WAL-reset bug, which may corrupt a database that two processes use; install 3.51.3, "
        "3.50.7 or 3.44.6, or use PostgreSQL. Until then only one connection checkpoints.",
    )


class Turn:
    """A lock that is handed out in the order of asking, so that a long load cannot starve the loop."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Event] = deque()

    def __enter__(self) -> None:
        mine = threading.Event()
        with self._guard:
            self._waiting.append(mine)
            if self._waiting[0] is mine:
                mine.set()
        mine.wait()

    def __exit__(self, *_: object) -> None:
        with self._guard:
            self._waiting.popleft()
            if self._waiting:
                self._waiting[0].set()


class _Side:
    """The connections of one database that write, or those that read; each has one transaction at a time.

    SQLite's are kept open and told BEGIN and COMMIT by the driver: our statements go by it anyway, and the engine's own
    way around a transaction took nine times as long (50 us against 6 for the smallest one).
    """

    def __init__(self, engine: Engine, begin: str | None) -> None:
        self._engine = engine
        self._begin = begin  # None: the engine begins and ends transactions
        self._idle: list[Connection] = []

    def transact(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction of its own: it is committed, or nothing of it stays."""
        if self._begin is None:
            with self._engine.begin() as connection:
                return work(connection)
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._engine.connect()
        driver = connection.connection
        try:
            driver.cursor().execute(self._begin)
            result = work(connection)
            driver.commit()
            if connection.in_transaction():  # a migration speaks through the engine
                connection.commit()
        except BaseException as error:
            if _is_damaged(_driver_error(error)):
                connection.close()  # the next one opens the file anew: it may have been put in order meanwhile
            else:
                driver.rollback()
                connection.rollback()
                self._rest(connection)
            raise
        self._rest(connection)
        return result

    def tell(self, sql: str) -> Rows:
        """One statement to a connection of SQLite's, outside any transaction: how a test makes its disk fill up."""
        connection = self._idle[-1] if self._idle else self._engine.connect()
        if not self._idle:
            self._idle.append(connection)
        try:
            return fetch_all(connection, sql)
        except sqlite3.OperationalError:
            return []

    def _rest(self, connection: Connection) -> None:
        if len(self._idle) < _READERS:
            self._idle.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()
        self._engine.dispose()


class Database:
    """One database, opened for writing or only for reading.

    A write that finds the database locked is tried `attempts` times, each waiting `busy_timeout_s`; every failed
    attempt is reported, and after the last StoreBusy is raised. On PostgreSQL all tables are in `schema`.

    A SQLite file is made by `migrate` alone, and only with `create`. From then on this and no other database is opened:
    where its disk went away, an empty folder or an older database may show in its place. That is StoreBusy.
    """

    def __init__(
        self,
        url: str,
        *,
        read_only: bool,
        busy_timeout_s: float,
        attempts: int,
        report: Report,
        schema: str = "public",
        create: bool = True,
    ) -> None:
        self.url = make_url(url)
        self._create = create
        self._mark: int | None = None  # SQLite: the number that tells this database from every other
        self._place: tuple[int, int] | None = (0, 0)  # and the file where it was last seen
        self.schema = schema
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if not self.is_sqlite and self.url.get_backend_name() != "postgresql":
            raise StoreError(f"{url}: use sqlite:///FILE or postgresql+psycopg://HOST/NAME")
        self.read_only = read_only
        self.busy_timeout_s = busy_timeout_s
        self.attempts = attempts
        self.report = report
        self.takes_writes = True  # as of the last one
        self._turn = Turn()
        self._files = (self.file, self.file.with_name(self.file.name + "-wal")) if self.is_sqlite else ()
        if self.is_sqlite and sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old; 3.37 or newer knows STRICT tables")
        self._readers = self._side(writes=False)
        self._writer = None if read_only else self._side(writes=True)

    @property
    def file(self) -> Path:
        """The file of a SQLite database."""
        if not self.url.database or self.url.database == ":memory:":
            raise StoreError(
                f"{self.url}: name a file, as in sqlite:///site.db; a database in memory has one connection"
            )
        return Path(self.url.database)

    def _side(self, *, writes: bool) -> _Side:
        if self.is_sqlite:
            return _Side(self._sqlite_engine(writes=writes), "BEGIN IMMEDIATE" if writes else "BEGIN")
        return _Side(self._postgres_engine(writes=writes), None)

    def _sqlite_engine(self, *, writes: bool) -> Engine:
        uri = f"file:{self.file.absolute()}?mode="

        def connect() -> sqlite3.Connection:
            may_create = self._create and self._mark is None
            mode = "ro" if not writes else "rwc" if may_create else "rw"
            # isolation_level None: we say BEGIN ourselves, so that DDL is in the transaction too.
            connection = sqlite3.connect(
                uri + mode, uri=True, timeout=self.busy_timeout_s, isolation_level=None, check_same_thread=False
            )
            pragmas = ["foreign_keys=ON", "trusted_schema=OFF", "cell_size_check=ON"]
            if writes:
                pragmas += ["journal_mode=WAL", "synchronous=FULL", f"journal_size_limit={_WAL_LIMIT_BYTES}"]
            else:
                pragmas += ["query_only=ON", "wal_autocheckpoint=0"]
            try:
                if self._mark is not None and _mark(connection) != self._mark:
                    raise _another(self.file)
                for pragma in pragmas:
                    connection.execute(f"PRAGMA {pragma}")
            except sqlite3.Error:
                connection.close()
                raise
            return connection

        return create_engine(
            "sqlite://",
            creator=connect,
            poolclass=NullPool,  # `_Side` keeps them
        )

    def _postgres_engine(self, *, writes: bool) -> Engine:
        settings = f"-c lock_timeout={int(self.busy_timeout_s * 1000)} -c search_path={self.schema}"
        if not writes:
            settings += " -c default_transaction_read_only=on"
        return create_engine(
            self.url,
            pool_size=1 if writes else _READERS,
            max_overflow=0 if writes else 2 * _READERS,
            pool_pre_ping=True,
            connect_args={"options": settings, "connect_timeout": max(2, int(self.busy_timeout_s))},
        )

    def write(self, what: str, work: Callable[[Connection], T], *, attempts: int | None = None) -> T:
        """Run `work` in one transaction, in turn. Raises StoreBusy when the database stays locked."""
        if self._writer is None:
            raise StoreError(f"{what}: the store was opened read-only")
        tries = self.attempts if attempts is None else attempts
        with self._turn:
            self.look(what)
            for attempt in range(1, tries + 1):
                try:
                    result = self._writer.transact(work)
                except Exception as error:
                    cause = _driver_error(error)
                    if not (_is_busy(cause) or _is_remounted(cause)):
                        raise
                    busy = StoreBusy(what, attempt * self.busy_timeout_s, str(cause).strip())
                    self.takes_writes = False
                    self.report(Concern("store-busy", str(busy)))
                    if attempt == tries:
                        raise busy from error
                else:
                    self.takes_writes = True
                    return result
        raise AssertionError("attempts is at least 1")

    def read(self, what: str, work: Callable[[Connection], T]) -> T:
        """Run `work` in one reading transaction: all it sees is of one instant."""
        try:
            return self._readers.transact(work)
        except Exception as error:
            cause = _driver_error(error)
            if _is_absent(cause) and (self.read_only or not _is_busy(cause)):  # to its writer it is gone, not to come
                raise StoreError(
                    f"{what}: there is no store at {self.url!r} yet; the control process makes it"
                ) from error
            if _is_busy(cause):
                raise StoreBusy(what, self.busy_timeout_s, str(cause).strip()) from error
            raise

    def stamp(self) -> tuple[int, ...] | None:
        """Changes whenever anybody commits: size and time of the file and of its log; None where nobody can tell."""
        if not self.is_sqlite:
            return None
        found: list[int] = []
        for file in self._files:
            try:
                state = file.stat()
            except OSError:
                found += (-1, -1)
            else:
                found += (state.st_mtime_ns, state.st_size)
        return tuple(found)

    def size_bytes(self) -> int | None:
        """Of the file and its log; None on PostgreSQL, or when there is none."""
        if not self.is_sqlite or not self.file.exists():
            return None
        log = self.file.with_name(self.file.name + "-wal")
        return self.file.stat().st_size + (log.stat().st_size if log.exists() else 0)

    def migrate(self, steps: str = "migrations", working: Callable[[], None] = lambda: None) -> None:
        """Bring the tables to the newest form in one transaction: killed half-way, the old form is left.

        `steps` is the folder beside this file that holds the migrations. `working` hears every second or so that
        SQLite is at it, by SQLite itself: while it waits for a lock or a disk it says nothing.
        """
        if self.is_sqlite and self._create:
            self.file.parent.mkdir(parents=True, exist_ok=True)
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / steps).replace("%", "%%"))
        script = ScriptDirectory.from_config(config)
        head = script.get_current_head()

        def upgrade(connection: Connection) -> None:
            if not self.is_sqlite:
                connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {self.schema}")
            current = MigrationContext.configure(connection).get_current_revision()
            known = {revision.revision for revision in script.walk_revisions()}
            if current is not None and current not in known:
                raise StoreError(
                    f"{self.url}: its tables are of version {current}, which this program does not know; "
                    "it was written by a newer one. Use that one, or restore a back-up."
                )
            if current is None and not self._create:
                raise StoreBusy(
                    "open", 0.0, f"there is no site in {self.url.database}; the disk it is on may be missing"
                )
            if current != head:
                config.attributes["connection"] = connection
                with _heard(connection, working):
                    command.upgrade(config, "head")
            if self.is_sqlite and not fetch_all(connection, "PRAGMA user_version")[0][0]:
                fetch_all(connection, f"PRAGMA user_version={secrets.randbelow(2**31 - 1) + 1}")

        self.write("migrate", upgrade)
        if self.is_sqlite:
            self._place = self._found()
            self._mark = self.read("which database", lambda c: fetch_all(c, "PRAGMA user_version"))[0][0]

    def look(self, what: str) -> None:
        """Raises StoreBusy unless our SQLite file is where it was: what an open connection writes to a file that was
        moved or hidden nobody finds again. A file that came back is opened anew. Costs one look at the folder.
        """
        try:
            place = self._found()
            if place is None:
                raise StoreBusy(what, 0.0, f"there is no {self.url.database}; the disk it is on may be missing")
            if place != self._place:
                self.close()
                self.read(what, lambda c: fetch_all(c, "PRAGMA user_version"))
                self._place = place
        except StoreBusy as busy:
            self.takes_writes = False
            self.report(Concern("store-busy", str(busy)))
            raise

    def is_there(self) -> bool:
        """The same as an answer."""
        try:
            self.look("look for the database")
        except StoreBusy:
            return False
        return True

    def _found(self) -> tuple[int, int] | None:
        """Which file is in the place of ours; None when there is none. PostgreSQL's is always the same."""
        if not self.is_sqlite or (self._mark is None and self._create):
            return self._place
        try:
            state = self.file.stat()
        except OSError:
            return None
        return state.st_dev, state.st_ino

    def close(self) -> None:
        """Close every connection; the last one writes the log back into the file."""
        self._readers.close()
        if self._writer is not None:
            self._writer.close()


@contextmanager
def _heard(connection: Connection, working: Callable[[], None]) -> Iterator[None]:
    driver = connection.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection):
        yield
        return
    driver.set_progress_handler(working, _STEPS_A_SIGN)
    try:
        yield
    finally:
        driver.set_progress_handler(None, 0)


def _mark(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _another(file: Path) -> sqlite3.Error:
    error = sqlite3.OperationalError(f"another database is in the place of {file}; the disk it is on may be missing")
    error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
    return error


def execute_many(connection: Connection, sql: str, rows: Rows) -> int:
    """One statement for many tuples, by the driver itself: ten times as fast as mapped objects.

    `sql` marks its values with `?` on both engines. Returns how many rows were written.
    """
    if not rows:
        return 0
    driver = connection.connection.cursor()
    try:
        driver.executemany(_marked(connection, sql), rows)
        return int(driver.rowcount)
    finally:
        driver.close()


def fetch_all(connection: Connection, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """All rows of a query as tuples, by the driver itself. `sql` marks its values with `?`."""
    driver = connection.connection.cursor()
    try:
        driver.execute(_marked(connection, sql), values)
        return list(driver.fetchall())
    finally:
        driver.close()


def execute(connection: Connection, sql: str, values: tuple[Any, ...] = ()) -> int:
    """One statement. `sql` marks its values with `?`. Returns how many rows were written."""
    return execute_many(connection, sql, [values])


def _marked(connection: Connection, sql: str) -> str:
    return sql if connection.dialect.name == "sqlite" else sql.replace("%", "%%").replace("?", "%s")


def _driver_error(error: BaseException) -> BaseException:
    """What the driver itself said, whether it was called through SQLAlchemy or directly."""
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def _is_damaged(cause: BaseException) -> bool:
    """Whether SQLite found the file itself or its disk broken."""
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR)


def _is_absent(cause: BaseException) -> bool:
    """Whether the file, the database or its tables do not exist."""
    if isinstance(cause, sqlite3.OperationalError):
        code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
        return code == sqlite3.SQLITE_CANTOPEN or str(cause).startswith("no such table")
    if type(cause).__module__.startswith("psycopg"):
        # 42P01 undefined table; a connection refused for want of the database (3D000) has only its words
        return getattr(cause, "sqlstate", None) in ("42P01", "3D000") or "does not exist" in str(cause)
    return False


def _is_remounted(cause: BaseException) -> bool:
    """Whether a file that could be written is read-only now, as after a disk's error."""
    return isinstance(cause, sqlite3.Error) and getattr(cause, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_READONLY


def _is_busy(cause: BaseException) -> bool:
    """Whether it is the database's state and not our request: held, full, read-only, damaged, restarting or away."""
    if isinstance(cause, sqlite3.DatabaseError):
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF in _UNUSABLE  # the primary code is the low byte
    state = getattr(cause, "sqlstate", None)
    if type(cause).__module__.startswith("psycopg"):
        # No state: the connection itself failed. 55P03 lock, 40 deadlock, 53 full, 57P0 going down, 08 lost.
        return type(cause).__name__ in ("OperationalError", "ConnectionTimeout") or (
            state is not None and (state == "55P03" or state[:2] in ("08", "40", "53") or state[:4] == "57P0")
        )
    return False
