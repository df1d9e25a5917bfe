"""/session: a browser's page signs in with a key, tells who one is, and signs out."""

from aiohttp import web
from aiohttp_pydantic.oas.typing import r200, r204, r401

from kt_images.access.gate import GATE, SESSION, SESSIONS, note
from kt_images.access.keyring import Holder
from kt_images.access.sessions import COOKIE, LIFETIME, Session
from kt_images.http.addresses import prefix
from kt_images.http.sites import is_encrypted
from kt_images.models.errors import Error
from kt_images.models.scopes import Scope
from kt_images.models.sessions import NewSession, SessionState
from kt_images.views.base import View, json_answer
from kt_images.views.call import call


class SessionView(View):
    """The session of a browser."""

    group = "Keys"

    @call("read_session", scope=None)
    async def get(self) -> r200[SessionState] | r401[Error]:
        """Tell who calls, by the session's cookie or by a key, and what they may do.

        Status Codes:
            200: Who it is; nobody, if there is no session, or none any more.
            401: A key came that is not valid.
        """
        holder = await self.request.app[GATE].visitor(self.request)
        if not holder:
            return self._state(None)
        note(self.request, holder)
        return self._state(holder, self.request.get(SESSION))

    head = get

    @call("open_session", scope=None, examples={"A key": {"key": "kti_0aZ9Qw3x_…_…"}})
    async def post(self, new: NewSession) -> r200[SessionState] | r401[Error]:
        """Exchange a key for a session, which a cookie stands for from now on.

        This is the one call that takes a key in its body. The session ends after 30 days, and with its key: when that
        expires, is revoked, or gets a new secret.

        Status Codes:
            200: The session is open; the header Set-Cookie has the cookie.
            401: The key is not valid.
        """
        secret, holder = await self.request.app[GATE].exchange(self.request, new.key.strip())
        session = await self.request.app[SESSIONS].open(secret, holder.seconds)
        note(self.request, holder)
        response = self._state(holder, session)
        self._set_cookie(response, session)
        return response

    @call("close_session", scope=None)
    async def delete(self) -> r204:
        """Sign out: have the browser forget the cookie.

        Whoever has copied the cookie ends it by revoking the key, or by giving it a new secret.

        Status Codes:
            204: There is no session, or none any more.
        """
        response = web.Response(status=204, headers={"Cache-Control": "no-store"})
        self._set_cookie(response, None)
        return response

    def _state(self, holder: Holder | None, session: Session | None = None) -> web.Response:
        gate = self.request.app[GATE]
        allowed = gate.free | (holder.scopes if holder else frozenset())
        bound = session or holder
        state = SessionState(
            access=gate.access,
            signed_in=session is not None,
            key_id=holder.key_id if holder else None,
            name=holder.name if holder else None,
            scopes=[scope for scope in Scope if scope in allowed],
            expires_at=bound.expires_at if bound else None,
        )
        response = json_answer(state)
        response.headers["Cache-Control"] = "no-store"
        return response

    def _set_cookie(self, response: web.Response, session: Session | None) -> None:
        response.set_cookie(
            COOKIE,
            session.text if session else "",
            max_age=LIFETIME if session else 0,
            path=prefix(self.request) or "/",
            secure=is_encrypted(self.request),
            httponly=True,
            samesite="Lax",
        )
