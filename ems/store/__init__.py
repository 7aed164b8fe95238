"""The store: SQLite by default, PostgreSQL when outgrown. `Store.open` writes, `Store.read_only` is for the web.

`People` is a second database, of accounts and sessions, which the web process alone writes.
"""

from ems.store.alarm_kinds import KINDS, Kind, Severity
from ems.store.alarms import Alarm, Alarms, AlarmState, Trouble
from ems.store.asked import Asked, Closing, ComfortWish, Departure, Hold, Maintenance, Reservation
from ems.store.database import Concern, StoreBusy, StoreError, sqlite_concern
from ems.store.journal import Journal, JournalError, Run
from ems.store.leadership import HeldBy, Leadership, LeadershipLost, Lease
from ems.store.passkeys import Passkey
from ems.store.people import Account, People, Person, Published, Role, Session
from ems.store.readings import ELECTRIC, REGISTER
from ems.store.store import Store
from ems.store.tickets import Ticket, Tickets
from ems.store.trail import Deed, Trace

__all__ = [
    "ELECTRIC",
    "KINDS",
    "REGISTER",
    "Account",
    "Alarm",
    "AlarmState",
    "Alarms",
    "Asked",
    "Closing",
    "ComfortWish",
    "Concern",
    "Deed",
    "Departure",
    "HeldBy",
    "Hold",
    "Journal",
    "JournalError",
    "Kind",
    "Leadership",
    "LeadershipLost",
    "Lease",
    "Maintenance",
    "Passkey",
    "People",
    "Person",
    "Published",
    "Reservation",
    "Role",
    "Run",
    "Session",
    "Severity",
    "Store",
    "StoreBusy",
    "StoreError",
    "Ticket",
    "Tickets",
    "Trace",
    "Trouble",
    "sqlite_concern",
]
