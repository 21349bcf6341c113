"""Processes that write to an SQLite file from many threads, holding each transaction across a switch.

Arguments: file, processes, threads of each, transactions of each, ``patched`` or ``plain``.
Each prints the longest time an unrelated thread was kept waiting, in seconds.
"""

import sys

if sys.argv[5] == "patched":
    import api.gevent_boot  # noqa: F401 - patches

import os
import threading
import time
from pathlib import Path

from flask import Flask
from sqlalchemy import MetaData, text

from api.backends.database import create_database, session_factory
from api.settings import Settings


def main() -> None:
    """Begin the processes, from one that has only read the modules; status 1 where any of them fails."""
    path, processes, threads, count = Path(sys.argv[1]), *map(int, sys.argv[2:5])
    begun = []
    for _ in range(processes):
        begun.append(os.fork())
        if begun[-1] == 0:
            write_all(path, threads, count)
            return
    statuses = [os.waitpid(pid, 0)[1] for pid in begun]
    sys.exit(any(statuses))


def write_all(path: Path, threads: int, count: int) -> None:
    """Write; any error ends the process with a traceback and status 1."""
    app = Flask("writers")
    settings = Settings(_env_file=None, database_url=f"sqlite:///{path}", database_pool_size=threads)
    sessions = session_factory(app, create_database(app, settings, MetaData()))
    faults: list[BaseException] = []

    def write() -> None:
        try:
            for _ in range(count):
                with sessions() as session:
                    session.execute(text("SELECT count(*) FROM notes")).scalar()
                    session.execute(text("UPDATE counters SET n = n + 1"))
                    time.sleep(0.001)
                    session.execute(text("INSERT INTO notes (body) VALUES ('x')"))
                    session.commit()
        except Exception as error:  # noqa: BLE001 - told below
            faults.append(error)

    writers = [threading.Thread(target=write) for _ in range(threads)]
    for writer in writers:
        writer.start()
    longest_s = 0.0
    while any(writer.is_alive() for writer in writers):
        started = time.monotonic()
        time.sleep(0.005)
        longest_s = max(longest_s, time.monotonic() - started)
    if faults:
        raise faults[0]
    sys.stdout.write(f"{longest_s}\n")


if __name__ == "__main__":
    main()
