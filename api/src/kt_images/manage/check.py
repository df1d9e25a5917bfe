"""`python3 -m kt_images.manage.check`: see that every row has its object, every object its row, every tag its count.

It may run while the service does. The rows are those of one moment; a problem is looked at twice, as the row may have
been replaced meanwhile. Exit status: 0 all is well, 1 it is not, 2 wrong usage.
"""

import asyncio
import hashlib
import time

from kt_images.base_settings import Settings
from kt_images.database import attachments, embedded, orphans, tags
from kt_images.database.connection import UNHURRIED
from kt_images.database.pool import Pool
from kt_images.database.snapshot import Snapshot
from kt_images.errors import DamagedStoreError
from kt_images.files.keys import object_key
from kt_images.files.store import Content, Listed, Store
from kt_images.files.stores import store_of
from kt_images.manage import command
from kt_images.manage.progress import Progress
from kt_images.manage.report import Problem, Report
from kt_images.models.attachments import Attachment
from kt_images.pairing import pair

STEP = 200  # rows whose objects are looked at together
AT_ONCE = 16  # of these


def main() -> None:
    """Check as the arguments say."""
    parser = command.parser("check", __doc__)
    parser.add_argument("--deep", action="store_true", help="read every object and compare its SHA-256")
    parser.add_argument(
        "--repair", action="store_true", help="have the collector remove objects without a row after its grace period"
    )
    parser.add_argument("--ndjson", action="store_true", help="print each problem, and the totals, as a line of JSON")
    parser.add_argument(
        "--grace",
        type=float,
        metavar="SECONDS",
        help="ignore objects without a row that are younger; default: KT_IMAGES_COLLECT_GRACE",
    )
    arguments = parser.parse_args()
    settings = command.settings(arguments)
    grace = settings.collect_grace if arguments.grace is None else arguments.grace
    report = Report(as_json=arguments.ndjson)
    command.run(_run(settings, report, arguments.deep, arguments.repair, grace))


async def _run(settings: Settings, report: Report, deep: bool, repair: bool, grace: float) -> int:
    store = store_of(settings)
    await store.check()
    with embedded.server(settings.postgres_dsn, settings.database_dir) as dsn:
        async with Pool(dsn, 2, UNHURRIED) as pool:
            await pair(pool, store)
            await _check_rows(pool, store, report, deep)
            await _check_objects(pool, store, report, repair, time.time() - grace)
            await _check_counts(pool, report, repair)
            for name in await store.sweep(time.time() - max(grace, settings.collect_grace)) if repair else []:
                report.add(Problem("unfinished", name, repaired=True))
    return report.end()


async def _check_rows(pool: Pool, store: Store, report: Report, deep: bool) -> None:
    at_once = asyncio.Semaphore(AT_ONCE)

    async def look(row: Attachment) -> str | None:
        async with at_once:
            return await _look(store, deep, row)

    async with Snapshot.open(pool) as snapshot:
        with Progress("rows ", (await snapshot.count()).attachments) as progress:
            async for step in snapshot.attachments(STEP):
                for row, problem in zip(step, await asyncio.gather(*map(look, step)), strict=True):
                    # Replaced or deleted since, and collected? Then its row went before its object.
                    if problem and await attachments.referenced(pool, {row.object_key}):
                        report.add(Problem(problem, row.object_key, row.image_id, row.filename))
                report.rows += len(step)
                progress.advance(len(step))


async def _look(store: Store, deep: bool, row: Attachment) -> str | None:
    """Return what is wrong with the object of a row, None if nothing is."""
    try:
        async with store.content(row.object_key, row.size) as content:
            return "different" if deep and await _sha256(content) != row.sha256 else None
    except DamagedStoreError as error:
        return {FileNotFoundError: "missing", type(None): "different"}.get(type(error.__cause__), "unreadable")
    except OSError:
        return "unreadable"


async def _sha256(content: Content) -> str:
    digest = hashlib.sha256()
    async for piece in content:
        await asyncio.to_thread(digest.update, piece)
    return digest.hexdigest()


async def _check_objects(pool: Pool, store: Store, report: Report, repair: bool, oldest: float) -> None:
    """Look for objects that no row names and the collector does not know; hand them to it on `repair`."""
    with Progress("objects", report.rows) as progress:
        async for step in store.walk():
            for problem in await _unaccounted(pool, store, report, [one for one in step if one.changed < oldest]):
                is_repaired = repair and problem.problem == "orphan"
                if is_repaired:
                    await orphans.expect(pool, [problem.object])
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


async def _unaccounted(pool: Pool, store: Store, report: Report, step: list[Listed]) -> list[Problem]:
    """Return what should not lie in the store. A thumbnail belongs there as long as its object does."""
    originals = {one.key: object_key(one.key) for one in step}
    ours = {key: original for key, original in originals.items() if original}
    unreferenced = await orphans.unreferenced(pool, {*ours, *ours.values()})
    found = []
    for key, original in originals.items():
        if original is None:
            found.append(Problem("foreign", key))
        elif original in unreferenced and (unreferenced[original] or unreferenced[key]):
            report.waiting += 1
        elif original in unreferenced and await _exists(store, key):
            found.append(Problem("orphan", key))
    return found


async def _exists(store: Store, key: str) -> bool:
    """Return whether the object is still there: the collector may have taken it since it was listed."""
    try:
        async with store.content(key):
            return True
    except DamagedStoreError as error:
        return not isinstance(error.__cause__, FileNotFoundError)


if __name__ == "__main__":
    main()
