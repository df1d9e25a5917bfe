"""`python3 -m kt_images.manage.check`: see that every row has its object, every object its row, every tag its count.

It may run while the service does. The rows are those of one moment; a problem is looked at twice, as the row may have
been replaced meanwhile. Exit status: 0 all is well, 1 it is not, 2 wrong usage.
"""

import asyncio
import sys
import time

from kt_images.base_settings import Settings
from kt_images.database import attachments, embedded, orphans, tags
from kt_images.database.connection import UNHURRIED
from kt_images.database.pool import Pool
from kt_images.database.snapshot import Snapshot
from kt_images.files.keys import object_key
from kt_images.files.store import Store
from kt_images.files.stores import store_of
from kt_images.manage import command
from kt_images.manage.hashing import AT_ONCE, wrong
from kt_images.manage.in_order import InOrder
from kt_images.manage.progress import Progress
from kt_images.manage.report import Problem, Report, counted
from kt_images.manage.unaccounted import unaccounted
from kt_images.models.attachments import Attachment
from kt_images.pairing import pair

STEP = 200  # rows whose objects are looked at together
# Objects without a row that may be left-overs. More, and more than a tenth of the rows, are rather another database's.
FEW, SHARE = 100, 0.1


def main() -> None:
    """Check as the arguments say."""
    parser = command.parser("check", __doc__)
    parser.add_argument("--deep", action="store_true", help="read every object and compare its SHA-256")
    parser.add_argument(
        "--repair", action="store_true", help="have the collector remove objects without a row after its grace period"
    )
    parser.add_argument(
        "--sole-owner",
        action="store_true",
        help="repair even if many objects have no row: no other database uses this store",
    )
    parser.add_argument("--ndjson", action="store_true", help="print each problem, and the totals, as a line of JSON")
    parser.add_argument(
        "--grace",
        type=float,
        metavar="SECONDS",
        help="ignore objects without a row that are younger; default: KT_IMAGES_COLLECT_GRACE",
    )
    arguments = parser.parse_args()
    settings = command.settings(arguments, changes=arguments.repair)
    grace = settings.collect_grace if arguments.grace is None else arguments.grace
    report = Report(as_json=arguments.ndjson)
    command.run(_run(settings, report, arguments.deep, arguments.repair, arguments.sole_owner, grace))


async def _run(settings: Settings, report: Report, deep: bool, repair: bool, is_sole: bool, grace: float) -> int:
    store = store_of(settings)
    await store.check()
    with embedded.server(settings.postgres_dsn, settings.database_dir) as dsn:
        async with Pool(dsn, 2, UNHURRIED) as pool:
            await pair(pool, store)
            await _check_rows(pool, store, report, deep)
            oldest = time.time() - grace
            hand_over = repair and (is_sole or await _are_few(pool, store, report.rows, oldest))
            await _check_objects(pool, store, report, hand_over, oldest)
            await _check_counts(pool, report, repair)
            for name in await store.sweep(time.time() - max(grace, settings.collect_grace)) if repair else []:
                report.add(Problem("unfinished", name, repaired=True))
    return report.end()


async def _check_rows(pool: Pool, store: Store, report: Report, deep: bool) -> None:
    at_once = asyncio.Semaphore(AT_ONCE)
    listing = InOrder(store)

    async def look(row: Attachment, listed: int | None) -> str | None:
        if listed == row.size and not deep:
            return None
        async with at_once:
            return await wrong(store, row, deep)

    async with Snapshot.open(pool) as snapshot:
        with Progress("rows ", (await snapshot.count()).attachments) as progress:
            async for step in snapshot.attachments_by_key(STEP):
                listed = [None if deep else await listing.size(row.object_key) for row in step]
                for row, problem in zip(step, await asyncio.gather(*map(look, step, listed)), strict=True):
                    # Replaced or deleted since, and collected? Then its row went before its object.
                    if problem and await attachments.referenced(pool, {row.object_key}):
                        report.add(Problem(problem, row.object_key, row.image_id, row.filename))
                report.rows += len(step)
                progress.advance(len(step))


async def _are_few(pool: Pool, store: Store, rows: int, oldest: float) -> bool:
    """Return whether the objects without a row can be this database's left-overs; say so if not."""
    count = 0
    async for step in store.walk():
        found, _ = await unaccounted(pool, store, [one for one in step if one.changed < oldest])
        count += sum(one.problem == "orphan" and object_key(one.object) == one.object for one in found)
    if count <= max(FEW, rows * SHARE):
        return True
    print(
        f"{counted(count, 'object')} without a row are too many to be left over: they may be the files of another "
        "database, and are left alone. If no other database uses this store, add --sole-owner",
        file=sys.stderr,
    )
    return False


async def _check_objects(pool: Pool, store: Store, report: Report, repair: bool, oldest: float) -> None:
    """Look for objects that no row names and the collector does not know; hand them to it on `repair`."""
    with Progress("objects", report.rows) as progress:
        async for step in store.walk():
            found, waiting = await unaccounted(pool, store, [one for one in step if one.changed < oldest])
            report.waiting += waiting
            for problem in found:
                is_repaired = repair and problem.problem == "orphan"
                if is_repaired:
                    await orphans.expect(pool, [problem.object], store_id=store.entered)
                report.add(problem.as_repaired() if is_repaired else problem)
            report.objects += len(step)
            progress.advance(len(step))


async def _check_counts(pool: Pool, report: Report, repair: bool) -> None:
    """Compare the counts of tags with the images; correct them on `repair`."""
    wrong = await tags.wrong(pool)
    if wrong and repair:
        await tags.repair(pool)
    for tag in wrong:
        report.add(Problem("miscounted", tag, repaired=repair))


if __name__ == "__main__":
    main()
