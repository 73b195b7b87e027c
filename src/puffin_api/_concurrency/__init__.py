"""Threads, in one place: a bounded pool, do-it-once maps, and the event pump of a call."""

from __future__ import annotations

import threading

from puffin_api._concurrency.pump import SILENT as SILENT
from puffin_api._concurrency.pump import Pump as Pump
from puffin_api._concurrency.pump import Relay as Relay
from puffin_api._concurrency.tasks import OnceMap as OnceMap
from puffin_api._concurrency.tasks import Task as Task
from puffin_api._concurrency.tasks import finished as finished
from puffin_api._concurrency.worker_pool import WorkerPool as WorkerPool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from puffin_api._concurrency.pump import Token as Token

Lock = threading.Lock
thread_id = threading.get_ident
"""For the few places outside this folder that guard a field of their own."""
