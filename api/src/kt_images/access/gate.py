"""The gate: each request is looked at before its body is, and refused unless its call is open to the caller.

Each call declares the scope that it needs (`views/call.py`). One that declares nothing is refused, whoever asks.
"""

import asyncio
from collections.abc import Callable
from http import HTTPMethod

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from kt_images.access import secrets
from kt_images.access.keyring import Holder, Keyring
from kt_images.access.secrets import Secret
from kt_images.access.sessions import COOKIE, Session, Sessions
from kt_images.base_settings import Access
from kt_images.errors import (
    EndedSessionError,
    ExpiredKeyError,
    ForbiddenError,
    MalformedAuthorizationError,
    MissingKeyError,
    StrayCookieError,
    TooSlowError,
    UnauthorizedError,
    UnavailableError,
    UndeclaredCallError,
    UnknownKeyError,
)
from kt_images.http.sites import READING, has_other_origin, is_of_own_page
from kt_images.http.watching import KEY_ID, BrokenAnswerError
from kt_images.metrics import KEY_REFUSALS
from kt_images.models.scopes import Scope

# What needs no key.
FREE: dict[Access, frozenset[Scope]] = {
    Access.OPEN: frozenset(Scope),
    Access.KEYS_TO_WRITE: frozenset({Scope.READ}),
    Access.KEYS: frozenset(),
}
# That a caller waits for the answer to a key that is refused: guessing is slow, and costs nothing but a socket.
DELAY_SECONDS = 1.0
# Who wait like this at a time; more are refused at once.
MOST_DELAYED = 1000
# An authorization that is longer is no key.
LONGEST = 200

REFUSALS = {
    kind: KEY_REFUSALS.labels(reason)
    for kind, reason in {
        MissingKeyError: "missing",
        MalformedAuthorizationError: "unknown",
        UnknownKeyError: "unknown",
        ExpiredKeyError: "expired",
        EndedSessionError: "session",
        ForbiddenError: "scope",
        UndeclaredCallError: "undeclared",
    }.items()
}

# Whose key it is, on requests of calls that need one.
HOLDER = web.RequestKey("holder", Holder)
# By which session they call, if they do.
SESSION = web.RequestKey("session", Session)
KEYRING = web.AppKey("keyring", Keyring)
SESSIONS = web.AppKey("sessions", Sessions)


class Gate:
    """Lets requests through, in its `middleware`.

    `scope_of` returns what the call of a request needs, None for nothing; it raises LookupError where nothing is
    declared.
    """

    def __init__(self, access: Access, scope_of: Callable[[web.Request], Scope | None]) -> None:
        self.access, self.free, self._scope_of = access, FREE[access], scope_of
        self._delayed = 0

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Look at the key, where one is needed. Raises UnauthorizedError, ForbiddenError, UndeclaredCallError."""
        try:
            # OPTIONS and what has no call is refused by others, with what they know of it.
            if request.match_info.http_exception is None and request.method != HTTPMethod.OPTIONS:
                await self._check(request)
            return await handler(request)
        except (UnauthorizedError, ForbiddenError) as error:
            REFUSALS[type(error)].inc()
            raise

    async def _check(self, request: web.Request) -> None:
        try:
            scope = self._scope_of(request)
        except LookupError:
            raise UndeclaredCallError from None
        if scope and scope not in self.free:
            # Who has lost the right to make keys must not make one in the seconds that it is still remembered.
            holder = await self._holder(request, from_memory=scope is not Scope.ADMIN)
            note(request, holder)
            require(request, scope)

    async def visitor(self, request: web.Request) -> Holder | None:
        """Return who calls what is open to all, None for anybody. Raises UnauthorizedError for a key alone."""
        if hdrs.AUTHORIZATION in request.headers:
            return await self._holder(request, from_memory=True)
        try:
            return await self._of_session(request, from_memory=True)
        except (MissingKeyError, EndedSessionError):
            return None

    async def exchange(self, request: web.Request, text: str) -> tuple[Secret, Holder]:
        """Return a key, as its holder has sent it, and whose it is. Raises UnauthorizedError, slowly."""
        try:
            if (secret := secrets.parse(text)) is None:
                raise UnknownKeyError
            return secret, await request.app[KEYRING].holder(secret, from_memory=False)
        except UnauthorizedError:
            await self._delay()
            raise

    async def _holder(self, request: web.Request, *, from_memory: bool) -> Holder:
        """Return who calls, by the key if one is sent, else by the session's cookie."""
        given = request.headers.getall(hdrs.AUTHORIZATION, [])
        if not given:
            return await self._of_session(request, from_memory=from_memory)
        scheme, _, text = given[0].partition(" ")
        try:
            if len(given) > 1 or scheme.lower() != "bearer":
                raise MalformedAuthorizationError
            if len(text) > LONGEST or (secret := secrets.parse(text.strip())) is None:
                raise UnknownKeyError
            return await request.app[KEYRING].holder(secret, from_memory=from_memory)
        except UnauthorizedError:
            await self._delay()
            raise

    async def _of_session(self, request: web.Request, *, from_memory: bool) -> Holder:
        """Return who calls by a session. A forged cookie needs no delay: its signature is out of reach."""
        text = request.cookies.get(COOKIE)
        # What a page of another origin could see of it, it is not to get by a cookie of which it knows nothing.
        if not text or has_other_origin(request):
            raise MissingKeyError
        if (session := await request.app[SESSIONS].read(text)) is None:
            raise EndedSessionError
        if request.method not in READING and not is_of_own_page(request):
            raise StrayCookieError
        try:
            holder = await request.app[KEYRING].holder(session, from_memory=from_memory)
        except UnauthorizedError as error:
            raise EndedSessionError from error
        request[SESSION] = session
        return holder

    async def on_response_prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        """Keep what needed a key out of caches that others share, as a signal of the application."""
        if HOLDER in request:
            given = response.headers.get(hdrs.CACHE_CONTROL, "no-store")
            response.headers[hdrs.CACHE_CONTROL] = given if "private" in given else f"private, {given}"

    async def _delay(self) -> None:
        if self._delayed >= MOST_DELAYED:
            return
        self._delayed += 1
        try:
            await asyncio.sleep(DELAY_SECONDS)
        finally:
            self._delayed -= 1


GATE = web.AppKey("gate", Gate)


def note(request: web.Request, holder: Holder) -> None:
    """Keep who calls with the request, for the call and for the log."""
    request[HOLDER], request[KEY_ID] = holder, holder.key_id


def require(request: web.Request, scope: Scope) -> None:
    """Raise ForbiddenError unless whoever calls may do what this scope stands for."""
    holder = request.get(HOLDER)
    if holder and scope not in holder.scopes:
        raise ForbiddenError(f"The key lacks the scope {scope}; a key with it can be made by: kt-images keys create")


async def recheck(request: web.Request) -> None:
    """Break a call that takes long if its key has ended meanwhile. Raises BrokenAnswerError."""
    if holder := request.get(HOLDER):
        try:
            await request.app[KEYRING].check(holder)
        except UnauthorizedError as error:
            raise BrokenAnswerError(str(error)) from error
        except (UnavailableError, TooSlowError):
            pass  # what the call does next will fail, or wait, by itself
