"""Many images by one call: an import against COPY, a change of a hundred thousand against one UPDATE."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from benchmarks import client, contestants, data, limits
from benchmarks.contestants import KEPT
from benchmarks.rows import Row, Run, alternate, medians, ratios

CHANGED = 100_000
TAG = "changed"
PIECE = 2**16
PROOF = b'"totalImages":%d'

EMPTIED = "truncate images, orphans restart identity cascade"
UPDATES = {
    True: f"update images set tags = tags || '{{{TAG}}}' where image_id <= {CHANGED}",
    False: f"update images set tags = array_remove(tags, '{TAG}') where image_id <= {CHANGED}",
}


def importing(run: Run) -> Iterator[Row]:
    """As many lines as there are images, into an empty database."""
    rows, lines = KEPT / "rows.copy", KEPT / "lines.ndjson"
    data.write(rows, lines, run.images)
    with data.empty(run.server) as dsn, contestants.service(dsn) as service:

        def by_copy() -> float:
            data.execute(dsn, EMPTIED)
            started = time.perf_counter()
            with limits.loading(dsn, "copy images (filename, tags) from stdin") as copy, rows.open("rb") as source:
                while piece := source.read(PIECE):
                    copy.write(piece)
            return time.perf_counter() - started

        def by_import() -> float:
            data.execute(dsn, EMPTIED)
            return _send(service.port, "POST", "/images", "application/x-ndjson", lines, run.images)

        times = alternate({"service": by_import, "COPY": by_copy}, run.rounds)
    rows.unlink()
    lines.unlink()
    ours, copied = times.values()
    what = f"import of {run.images:,} images"
    yield Row(what, "COPY into the same table", 1.3, "of its time", ratios(ours, copied), seen=medians(times, "s"))


def changing(run: Run) -> Iterator[Row]:
    """A tag added to the first hundred thousand images, and removed again."""
    dsn = data.database(run.server, run.images)
    body = KEPT / "change.json"
    has_tag = False

    def by_call() -> float:
        nonlocal has_tag
        has_tag = not has_tag
        body.write_text(json.dumps({"add_tags" if has_tag else "remove_tags": [TAG]}))
        path = f"/images?before={CHANGED + 1}"
        return _send(service.port, "PATCH", path, "application/json", body, min(CHANGED, run.images))

    def by_update() -> float:
        nonlocal has_tag
        has_tag = not has_tag
        started = time.perf_counter()
        data.execute(dsn, UPDATES[has_tag])
        return time.perf_counter() - started

    try:
        with contestants.service(dsn) as service:
            times = alternate({"service": by_call, "UPDATE": by_update}, run.rounds)
    finally:
        data.execute(dsn, UPDATES[False])
        data.execute(dsn, "vacuum images")
    ours, updated = times.values()
    what = f"a change of {CHANGED:,} of {run.images:,} images"
    yield Row(what, "one UPDATE by psql", 1.5, "of its time", ratios(ours, updated), seen=medians(times, "s"))


def _send(port: int, method: str, path: str, content_type: str, body: Path, expected: int) -> float:
    """Return the seconds until the proof is there. Raises RuntimeError without it."""
    with closing(socket.create_connection((client.HOST, port))) as connection, body.open("rb") as source:
        started = time.perf_counter()
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\nConnection: close\r\n"
        connection.sendall(f"{head}Content-Length: {body.stat().st_size}\r\n\r\n".encode())
        connection.sendfile(source)
        answer = b""
        while received := connection.recv(client.BUFFER):
            answer = (answer + received)[-client.LONGEST_END :]
        seconds = time.perf_counter() - started
    if PROOF % expected in answer:
        return seconds
    raise RuntimeError(f"{method} {path} ends with {answer!r}")
