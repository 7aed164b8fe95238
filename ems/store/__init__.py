"""The store: SQLite by default, PostgreSQL when outgrown. `Store.open` writes, `Store.read_only` is for the web.

`People` is a second database, of accounts and sessions, which the web process alone writes.
"""

from ems.store.database import Concern, StoreBusy, StoreError, sqlite_concern
from ems.store.journal import Journal, JournalError, Run
from ems.store.leadership import HeldBy, Leadership, LeadershipLost, Lease
from ems.store.people import Account, People, Role, Session, Trace
from ems.store.store import Store

__all__ = [
    "Account",
    "Concern",
    "HeldBy",
    "Journal",
    "JournalError",
    "Leadership",
    "LeadershipLost",
    "Lease",
    "People",
    "Role",
    "Run",
    "Session",
    "Store",
    "StoreBusy",
    "StoreError",
    "Trace",
    "sqlite_concern",
]
