"""The database that everybody reads: images and tags out of a fixed seed.

Every image has 3 to 12 tags out of 50,000 that are spread as words are (Zipf and Mandelbrot): the most common stands on
two images of five, every second one on less than ten of a million. Chance would let frequent tags meet as often as
their numbers say; `SELDOM_MET` are two that do not, to see what becomes of a plan that counts on it.
"""

import hashlib
import itertools
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import psycopg2
from psycopg2 import extensions

from benchmarks import limits
from benchmarks.contestants import KEPT
from benchmarks.rows import LeftOutError

VERSION = 1  # to be raised when the rows below change
SEED = 19
TAGS = 50_000
FEWEST, MOST = 3, 12
EXPONENT, OFFSET = 1.3, 3
DRAWS = 24  # tags drawn for an image, so that enough different ones are among them
SELDOM_MET = ("tag_4", "tag_5")
SELDOM = 100  # together on one image of so many where chance has them meet
BLOCK = 50_000

BYTES_AN_IMAGE = 1000  # on disk, with its indexes and what their making takes for a while

EMPTY = "bench_empty"

OTHER_SCHEMAS = "select datname from pg_database where datname like %s and datname <> %s"
SECONDARY_INDEXES = """
    select pg_get_indexdef(indexrelid) as made, indexrelid::regclass::text as name
    from pg_index where indrelid = 'images'::regclass and not indisprimary
"""


def database(server: str, images: int) -> str:
    """Return the DSN of a database that holds so many images, making it unless it is there already.

    Raises LeftOutError when the disk has not enough room.
    """
    name = f"bench_{images}_{_fingerprint()}"
    with closing(_connect(server)) as connection:
        for (old,) in _query(connection, OTHER_SCHEMAS, (f"bench\\_{images}\\_%", name)):
            _query(connection, f"drop database {old}")
        if not _query(connection, "select 1 from pg_database where datname = %s", (name,)):
            if shutil.disk_usage(KEPT).free < images * BYTES_AN_IMAGE:
                raise LeftOutError(f"{images:,} images take {images * BYTES_AN_IMAGE / 1e9:.0f} GB for a while")
            print(f"making {images:,} images", flush=True)
            _query(connection, f"create database {name}_new")
            _fill(extensions.make_dsn(server, dbname=f"{name}_new"), images)
            _query(connection, f"alter database {name}_new rename to {name}")
    return str(extensions.make_dsn(server, dbname=name))


@contextmanager
def empty(server: str) -> Iterator[str]:
    """Give the DSN of a database that holds nothing, and is gone afterwards."""
    with closing(_connect(server)) as connection:
        _query(connection, f"drop database if exists {EMPTY}")
        _query(connection, f"create database {EMPTY}")
        dsn = str(extensions.make_dsn(server, dbname=EMPTY))
        try:
            _make_tables(dsn)
            yield dsn
        finally:
            _query(connection, f"drop database {EMPTY} with (force)")


def count(dsn: str, conditions: str) -> int:
    """Return how many images meet the conditions."""
    return value(dsn, f"select count(*) from images where {conditions}")


def value(dsn: str, sql: str) -> int:
    """Return the number that a query gives."""
    with closing(_connect(dsn)) as connection:
        return int(_query(connection, sql)[0][0])


def forget_after(dsn: str, images: int) -> None:
    """Take away what a measurement added behind the first so many images."""
    with closing(_connect(dsn)) as connection:
        _query(connection, f"delete from images where image_id > {images}")
        _query(connection, "vacuum images")
        _query(connection, "checkpoint")


def execute(dsn: str, sql: str) -> None:
    """Run a statement."""
    with closing(_connect(dsn)) as connection:
        _query(connection, sql)


def write(rows: Path, lines: Path, images: int) -> None:
    """Write so many images twice: as COPY reads them, and as lines of JSON."""
    with rows.open("wb") as for_copy, lines.open("w") as for_import:
        for block in _blocks(images):
            for_copy.write(block)
            for row in block.decode().splitlines():
                filename, tags = row.split("\t")
                for_import.write(json.dumps({"filename": filename, "tags": tags.strip("{}").split(",")}) + "\n")


def postgresql_version(server: str) -> str:
    """Return the server's version."""
    with closing(_connect(server)) as connection:
        return str(_query(connection, "show server_version")[0][0])


def _fingerprint() -> str:
    """What the rows and the schema were made of: when it changes, so does the database's name."""
    files = sorted(resources.files("kt_images.fixtures").iterdir(), key=lambda file: file.name)
    fixtures = b"".join(file.read_bytes() for file in files if file.name.endswith(".sql"))
    return hashlib.sha256(b"%d %s" % (VERSION, fixtures)).hexdigest()[:8]


def _make_tables(dsn: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "kt_images.manage.load_fixtures", "--upgrade", "--postgres_dsn", dsn],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip


def _fill(dsn: str, images: int) -> None:
    _make_tables(dsn)
    with closing(_connect(dsn)) as connection:
        _query(connection, "set maintenance_work_mem = '1GB'")
        indexes = _query(connection, SECONDARY_INDEXES)
        for _, index in indexes:
            _query(connection, f"drop index {index}")
        with limits.loading(dsn, "copy images (filename, tags) from stdin") as copy:
            copy.writelines(_blocks(images))
        for made, _ in indexes:
            _query(connection, made)
        _query(connection, "vacuum (freeze, analyze) images")
        _query(connection, "checkpoint")


def _blocks(images: int) -> Iterator[bytes]:
    """Yield the rows as COPY reads them; image 1 is the same whatever the number of images."""
    weights = (np.arange(1, TAGS + 1) + OFFSET) ** -EXPONENT
    cumulative = np.cumsum(weights) / weights.sum()
    names = [f"tag_{rank}" for rank in range(1, TAGS + 1)]
    one, other = (names.index(tag) for tag in SELDOM_MET)
    for start in range(0, images, BLOCK):
        size = min(BLOCK, images - start)
        random = np.random.default_rng([SEED, start])
        wanted = random.integers(FEWEST, MOST + 1, BLOCK).tolist()
        # The last tag takes what rounding leaves above the sum.
        drawn = np.minimum(np.searchsorted(cumulative, random.random((BLOCK, DRAWS))), TAGS - 1).tolist()
        lines = []
        for image in range(size):
            tags = dict.fromkeys(drawn[image])
            if one in tags and other in tags and image % SELDOM:
                del tags[other]
            listed = ",".join([names[tag] for tag in itertools.islice(tags, wanted[image])])
            lines.append(f"IMG_{start + image + 1:08}.jpg\t{{{listed}}}\n")
        yield "".join(lines).encode()


def _connect(dsn: str) -> Any:
    connection = psycopg2.connect(dsn)
    connection.autocommit = True
    return connection


def _query(connection: Any, sql: str, parameters: Any = None) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall()) if cursor.description else []
