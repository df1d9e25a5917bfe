"""/keys: make, list, rotate and revoke keys."""

from datetime import datetime

from aiohttp import web
from aiohttp_pydantic.oas.typing import r200, r201, r204, r404, r409
from pydantic import RootModel

from kt_images.access import gate, secrets
from kt_images.access.keyring import Holder
from kt_images.access.secrets import Secret
from kt_images.database import keys
from kt_images.errors import ForbiddenError
from kt_images.models.errors import Error
from kt_images.models.keys import IssuedKey, Key, KeyId, NewKey, Rotation
from kt_images.models.scopes import Scope
from kt_images.views.base import View, json_answer
from kt_images.views.call import call


class Keys(RootModel[list[Key]]):
    """All keys, the oldest first."""


class KeysView(View):
    """All keys."""

    group = "Keys"

    @call("list_keys", Scope.ADMIN)
    async def get(self) -> r200[Keys]:
        """List all keys, without their secrets.

        Status Codes:
            200: The keys, the oldest first; there are 10,000 at most.
        """
        return json_answer(Keys(await keys.listed(self.db)))

    head = get

    @call(
        "create_key",
        Scope.ADMIN,
        examples={
            "To read": {"name": "gallery", "scopes": ["read"]},
            "Until the end of the year": {
                "name": "import", "scopes": ["read", "write"], "expires_at": "2099-12-31T00:00:00Z"
            },
        },
    )  # fmt: skip
    async def post(self, key: NewKey) -> r201[IssuedKey] | r409[Error]:
        """Make a key.

        It can do nothing that the key that makes it cannot, and ends no later.

        Status Codes:
            201: The key with its secret, which is shown this once.
            409: There are 10,000 keys already.
        """
        maker = self.request.get(gate.HOLDER)
        expires_at = key.expires_at or (maker.expires_at if maker else None)
        _refuse_more(maker, key.scopes, expires_at)
        secret = secrets.make()
        created_by = maker.key_id if maker else None
        made = await keys.create(
            self.db, secret.key_id, secret.digest, key.name, key.scopes, expires_at, created_by=created_by
        )
        return _issued(made, secret, status=201)


class KeyView(View):
    """One key."""

    group = "Keys"

    @call("revoke_key", Scope.ADMIN)
    async def delete(self, id: KeyId, /) -> r204 | r404[Error]:  # noqa: A002 (the contract's spelling)
        """Revoke a key.

        Other processes of the service refuse it within five seconds.

        Status Codes:
            204: The key is revoked.
        """
        await keys.revoke(self.db, id)
        self.request.app[gate.KEYRING].forget(id)
        return web.Response(status=204)


class KeyRotationView(View):
    """The secret of a key."""

    group = "Keys"

    @call("rotate_key", Scope.ADMIN, body=Rotation)
    async def post(self, id: KeyId, /) -> r200[IssuedKey] | r404[Error]:  # noqa: A002 (the contract's spelling)
        """Give a key a new secret; the old one works for `overlap_seconds` more.

        Status Codes:
            200: The key with its new secret, which is shown this once.
        """
        rotation = await self.optional_body(Rotation)
        rotated = await keys.read(self.db, id)
        _refuse_more(self.request.get(gate.HOLDER), rotated.scopes, rotated.expires_at)
        secret = secrets.make(id)
        key = await keys.rotate(self.db, id, secret.digest, rotation.overlap_seconds)
        self.request.app[gate.KEYRING].forget(id)
        return _issued(key, secret)


def _issued(key: Key, secret: Secret, status: int = 200) -> web.Response:
    response = json_answer(IssuedKey.of(key, secret.text), status)
    response.headers["Cache-Control"] = "no-store"
    return response


def _refuse_more(maker: Holder | None, scopes: list[Scope], expires_at: datetime | None) -> None:
    """Raise ForbiddenError for a key that could do more, or for longer, than the one that makes it."""
    if not maker:
        return
    if more := [scope for scope in scopes if scope not in maker.scopes]:
        raise ForbiddenError(f"A key cannot give what it lacks: {', '.join(more)}")
    if maker.expires_at and (expires_at is None or expires_at > maker.expires_at):
        raise ForbiddenError("A key cannot make one that ends later than itself")
