"""A process that opens a log, writes two events and waits to be killed.

Arguments: Redis URL, key prefix, life of its sign of life in seconds, task id.
"""

import sys
import time

from api.backends.channel import redis
from api.core.events import RunHeader, TextChunk


def main() -> None:
    """Write until killed; prints a line once the events are on their way."""
    url, prefix, alive_ttl_s, task_id = sys.argv[1:]
    log = redis.Backend(url, prefix, float(alive_ttl_s)).open(
        RunHeader(
            task_id=task_id,
            tenant_id="tenant",
            app_id="app",
            mode="chat",
            principal_id="someone",
            created_at=int(time.time()),
            total_s=60.0,
        )
    )
    log.append(TextChunk(text="one"))
    log.append(TextChunk(text="two"))
    sys.stdout.write("written\n")
    sys.stdout.flush()
    time.sleep(60)


if __name__ == "__main__":
    main()
