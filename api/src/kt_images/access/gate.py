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
from kt_images.base_settings import Access
from kt_images.errors import ForbiddenError, MissingKeyError, UnauthorizedError, UndeclaredCallError, UnknownKeyError
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

# Whose key it is, on requests of calls that need one.
HOLDER = web.RequestKey("holder", Holder)
KEYRING = web.AppKey("keyring", Keyring)


class Gate:
    """Lets requests through, in its `middleware`.

    `scope_of` returns what the call of a request needs, None for nothing; it raises LookupError where nothing is
    declared.
    """

    def __init__(self, access: Access, scope_of: Callable[[web.Request], Scope | None]) -> None:
        self._free, self._scope_of = FREE[access], scope_of
        self._delayed = 0

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Look at the key, where one is needed. Raises UnauthorizedError, ForbiddenError, UndeclaredCallError."""
        # OPTIONS and what has no call is refused by others, with what they know of it.
        if request.match_info.http_exception is None and request.method != HTTPMethod.OPTIONS:
            try:
                scope = self._scope_of(request)
            except LookupError:
                raise UndeclaredCallError from None
            if scope and scope not in self._free:
                request[HOLDER] = await self._holder(request)
                require(request, scope)
        return await handler(request)

    async def _holder(self, request: web.Request) -> Holder:
        given = request.headers.getall(hdrs.AUTHORIZATION, [])
        if not given:
            raise MissingKeyError
        scheme, _, text = given[0].partition(" ")
        try:
            if len(given) > 1 or scheme.lower() != "bearer" or len(text) > LONGEST:
                raise UnknownKeyError
            if (secret := secrets.parse(text.strip())) is None:
                raise UnknownKeyError
            return await request.app[KEYRING].holder(secret)
        except UnauthorizedError:
            await self._delay()
            raise

    async def _delay(self) -> None:
        if self._delayed >= MOST_DELAYED:
            return
        self._delayed += 1
        try:
            await asyncio.sleep(DELAY_SECONDS)
        finally:
            self._delayed -= 1


def require(request: web.Request, scope: Scope) -> None:
    """Raise ForbiddenError unless whoever calls may do what this scope stands for."""
    holder = request.get(HOLDER)
    if holder and scope not in holder.scopes:
        raise ForbiddenError(f"The key lacks the scope {scope}; a key with it can be made by: kt-images keys create")
