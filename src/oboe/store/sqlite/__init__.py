"""The embedded store: one SQLite file for each agent."""

from oboe.store.audit import Audit
from oboe.store.sqlite.connection import Sqlite
from oboe.store.sqlite.copies import DagCopies, DagCopy
from oboe.store.sqlite.facts import Facts
from oboe.store.sqlite.home import SqliteHome
from oboe.store.sqlite.inbox import SqliteInbox

__all__ = ["Audit", "DagCopies", "DagCopy", "Facts", "Sqlite", "SqliteHome", "SqliteInbox"]
