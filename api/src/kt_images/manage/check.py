"""`python3 -m kt_images.manage.check`: see whether every row has its file, and every file its row.

It may run beside the service. The rows are those of one moment; a file that is missing is looked up again, as it may
have been replaced meanwhile, and so is each file without a row. Exit status: 0 all is well, 1 it is not, 2 bad usage.
"""

import asyncio
import json
import time
from collections import Counter
from dataclasses import asdict, dataclass

from kt_images import collector
from kt_images.base_settings import Settings
from kt_images.database import attachments, embedded
from kt_images.database.pool import Pool
from kt_images.database.snapshot import Snapshot
from kt_images.errors import DamagedStoreError
from kt_images.files.store import Store
from kt_images.files.walk import in_steps
from kt_images.manage import command
from kt_images.manage.progress import Progress
from kt_images.models import Attachment
from kt_images.pairing import pair

STEP = 200  # rows whose files are looked at together

MEANINGS = {
    "missing": "its row is there, its file is not",
    "different": "its file is not the one that was stored",
    "unreadable": "the disk does not give its file back",
    "orphan": "no row names this file",
    "unfinished": "an upload that was never finished",
    "foreign": "the store does not give files such names",
}


@dataclass(frozen=True)
class Problem:
    """What is wrong with a row or a file; `repaired` once the file was set aside."""

    problem: str
    file: str
    image_id: int | None = None
    filename: str | None = None
    repaired: bool = False


def main() -> None:
    """Check as the arguments say."""
    parser = command.parser("check", __doc__)
    parser.add_argument("--deep", action="store_true", help="read every file and compare its SHA-256")
    parser.add_argument("--repair", action="store_true", help="move files without a row into the store's quarantine/")
    parser.add_argument("--ndjson", action="store_true", help="print each problem, and the totals, as a line of JSON")
    parser.add_argument(
        "--grace",
        type=float,
        metavar="SECONDS",
        help="leave younger files without a row alone; default: KT_IMAGES_COLLECT_GRACE; 0 only while no service runs",
    )
    arguments = parser.parse_args()
    settings = command.settings(arguments)
    grace = settings.collect_grace if arguments.grace is None else arguments.grace
    report = Report(as_json=arguments.ndjson)
    command.run(_run(settings, report, arguments.deep, arguments.repair, grace))


class Report:
    """What was found, printed as it is found."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._counts: Counter[str] = Counter()
        self.rows = self.files = self.waiting = self._repaired = 0

    def tell(self, problem: Problem) -> None:
        """Print a problem."""
        self._counts[problem.problem] += 1
        self._repaired += problem.repaired
        if self._as_json:
            print(json.dumps(asdict(problem)))
            return
        # As JSON, so that no name from outside reaches the terminal as it is.
        row = f", image {problem.image_id} {json.dumps(problem.filename)}" if problem.filename else ""
        aside = "; set aside" if problem.repaired else ""
        print(f"{problem.problem}: {json.dumps(problem.file)}{row}: {MEANINGS[problem.problem]}{aside}")

    def end(self) -> int:
        """Print the totals; return the exit status."""
        problems = self._counts.total()
        if self._as_json:
            totals = {"rows": self.rows, "files": self.files, "problems": problems, "repaired": self._repaired}
            counts = {name: self._counts[name] for name in MEANINGS}
            print(json.dumps({**totals, **counts, "waiting": self.waiting}))
        else:
            found = [f"{self._counts[name]:,} {name}" for name in MEANINGS if self._counts[name]] or ["all is well"]
            found += [f"{self._repaired:,} set aside"] if self._repaired else []
            found += [f"{self.waiting:,} for the collector"] if self.waiting else []
            print(f"{self.rows:,} rows, {self.files:,} files: {', '.join(found)}")
        return 1 if problems > self._repaired else 0


async def _run(settings: Settings, report: Report, deep: bool, repair: bool, grace: float) -> int:
    store = Store(settings.uploads_dir)
    store.check()
    with embedded.server(settings.postgres_dsn, settings.database_dir) as dsn:
        if repair:
            command.become_owner(settings)
        async with Pool(dsn, 2, command.LIMITS) as pool:
            await pair(pool, store)
            await _check_rows(pool, store, report, deep)
            await _check_files(pool, store, report, repair, grace)
    return report.end()


async def _check_rows(pool: Pool, store: Store, report: Report, deep: bool) -> None:
    async with Snapshot.open(pool) as snapshot:
        with Progress("rows ", (await snapshot.count()).attachments) as progress:
            async for step in snapshot.attachments(STEP):
                looks = [asyncio.to_thread(_look, store, deep, row) for row in step]
                for row, problem in zip(step, await asyncio.gather(*looks), strict=True):
                    # Replaced or deleted since, and collected? Then its row has gone before it.
                    if problem and await attachments.named(pool, {row.object_key}):
                        report.tell(Problem(problem, row.object_key, row.image_id, row.filename))
                report.rows += len(step)
                progress.advance(len(step))


def _look(store: Store, deep: bool, row: Attachment) -> str | None:
    """Tell what is wrong with the file of a row; None: nothing."""
    try:
        if deep:
            return None if store.digest(row.object_key, row.size) == row.sha256 else "different"
        store.open_object(row.object_key, row.size).close()
    except DamagedStoreError as error:
        return {FileNotFoundError: "missing", type(None): "different"}.get(type(error.__cause__), "unreadable")
    except OSError:
        return "unreadable"
    return None


async def _check_files(pool: Pool, store: Store, report: Report, repair: bool, grace: float) -> None:
    """Look for files that no row names and that the collector should have taken by now; set them aside on `repair`."""
    oldest = time.time() - grace
    with Progress("files", report.rows) as progress:
        async for step in in_steps(store.objects()):
            for found in await collector.unnamed(pool, [one for one in step if one.changed < oldest]):
                if found.key and grace and not found.noticed:
                    report.waiting += 1
                    if repair:
                        await asyncio.to_thread(store.notice, found)
                    continue
                repaired = repair and await collector.dispose(pool, found, store.set_aside)
                # A row may name it by now.
                if repaired or await collector.unnamed(pool, [found]):
                    report.tell(Problem("orphan" if found.key else "foreign", str(found.path), repaired=repaired))
            report.files += len(step)
            progress.advance(len(step))
        async for step in in_steps(store.unfinished()):
            for found in step:
                if found.changed < oldest:
                    if repair:
                        await asyncio.to_thread(store.set_aside, found)
                    report.tell(Problem("unfinished", str(found.path), repaired=repair))


if __name__ == "__main__":
    main()
