"""Keys: their rows. No secret is stored, only its SHA-256."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from kt_images.database.connection import Queryable
from kt_images.errors import KeyNotFoundError, TooManyKeysError
from kt_images.models.keys import Key
from kt_images.models.scopes import Scope

# Kept at a time: a list of them is one answer.
MOST = 10_000

COLUMNS = "key_id as id, name, scopes, created_at, expires_at, last_used_at, created_by"

INSERT = f"""
    insert into keys (key_id, name, scopes, digest, expires_at, created_by)
    select %(key_id)s, %(name)s, %(scopes)s::text[], %(digest)s, %(expires_at)s, %(created_by)s
    where (select count(*) from keys) < %(most)s
    returning {COLUMNS}
"""

SELECT = f"select {COLUMNS} from keys order by created_at, key_id"

READ = f"select {COLUMNS} from keys where key_id = %(key_id)s"

# Seconds are counted by the server's clock alone.
FIND = """
    select key_id, name, digest, old_digest, scopes, expires_at,
        extract(epoch from expires_at - now())::float8 as seconds,
        extract(epoch from old_until - now())::float8 as old_seconds
    from keys where key_id = any(%(ids)s)
"""

ROTATE = f"""
    update keys set
        digest = %(digest)s,
        old_digest = case when %(overlap)s > 0 then digest end,
        old_until = case when %(overlap)s > 0 then now() + make_interval(secs => %(overlap)s) end
    where key_id = %(key_id)s
    returning {COLUMNS}
"""

DELETE = "delete from keys where key_id = %(key_id)s returning key_id"

# Whoever else writes the same row has the same to say.
USED = """
    with due as (
        select key_id from keys
        where key_id = any(%(ids)s) and (last_used_at is null or last_used_at < now() - interval '1 minute')
        order by key_id for update skip locked
    )
    update keys set last_used_at = now() from due where keys.key_id = due.key_id
"""


class Known(NamedTuple):
    """What a secret is compared with. `seconds` are left until it ends, None if it never does."""

    key_id: str
    name: str
    digest: str
    old_digest: str | None
    scopes: list[str]
    expires_at: datetime | None
    seconds: float | None
    old_seconds: float | None


async def create(
    db: Queryable,
    key_id: str,
    digest: str,
    name: str,
    scopes: Iterable[Scope],
    expires_at: datetime | None,
    created_by: str | None = None,
) -> Key:
    """Store a new key. Raises TooManyKeysError."""
    values = {
        "key_id": key_id, "digest": digest, "name": name, "scopes": [str(scope) for scope in scopes],
        "expires_at": expires_at, "created_by": created_by, "most": MOST,
    }  # fmt: skip
    for row in await db.query(INSERT, values):
        return Key.model_validate(row)
    raise TooManyKeysError(MOST)


async def listed(db: Queryable) -> list[Key]:
    """Return all keys, the oldest first."""
    return [Key.model_validate(row) for row in await db.query(SELECT)]


async def read(db: Queryable, key_id: str) -> Key:
    """Return the key. Raises KeyNotFoundError."""
    for row in await db.query(READ, {"key_id": key_id}):
        return Key.model_validate(row)
    raise KeyNotFoundError


async def find(db: Queryable, ids: Sequence[str]) -> list[Known | None]:
    """Return what is known of the keys with these ids, in this order; None where there is no such key."""
    found = {row.key_id: Known(*row) for row in await db.query(FIND, {"ids": list(ids)})}
    return [found.get(key_id) for key_id in ids]


async def rotate(db: Queryable, key_id: str, digest: str, overlap: float) -> Key:
    """Give the key a new secret; the old one works for `overlap` seconds more. Raises KeyNotFoundError."""
    for row in await db.query(ROTATE, {"key_id": key_id, "digest": digest, "overlap": overlap}):
        return Key.model_validate(row)
    raise KeyNotFoundError


async def revoke(db: Queryable, key_id: str) -> None:
    """End the key. Raises KeyNotFoundError."""
    if not await db.query(DELETE, {"key_id": key_id}):
        raise KeyNotFoundError


async def used(db: Queryable, ids: Iterable[str]) -> None:
    """Note that these keys were used now, each once a minute at most."""
    await db.query(USED, {"ids": list(ids)})
