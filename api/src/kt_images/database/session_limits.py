"""Whether sessions have the limits that they are opened with; a pooler in between may have dropped them.

PgBouncer refuses the limits, unless `ignore_startup_parameters` names `options`: then it drops them without a word. A
statement that hangs, or a lock, would hold up the service for ever.
"""

from kt_images.database.connection import Queryable
from kt_images.errors import UnlimitedError

# Not client_connection_check_interval: a pooler notices itself that its client has gone.
NAMES = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")

MISSING = """
    select name from unnest(%(names)s::text[]) with ordinality as wanted (name, place)
    where current_setting(name) = '0' order by place
"""


async def check(db: Queryable) -> None:
    """See that a session of this pool has its limits. Raises UnlimitedError, UnavailableError."""
    if rows := await db.query(MISSING, {"names": list(NAMES)}):
        raise UnlimitedError([row.name for row in rows])
