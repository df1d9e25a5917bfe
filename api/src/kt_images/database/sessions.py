"""Sessions: what their cookies are signed with. Of a session itself no row is kept."""

from kt_images.database.connection import Queryable

SELECT = "select secret from session_secret"

# Another service may have made it meanwhile.
INSERT = "insert into session_secret default values on conflict do nothing"


async def secret(db: Queryable) -> bytes:
    """Return the secret of this database, which is made when it is first asked for."""
    while not (rows := await db.query(SELECT)):
        await db.query(INSERT)
    return bytes(rows[0].secret)
