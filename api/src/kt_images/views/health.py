"""/healthz and /readyz: for whoever watches over the service."""

import asyncio

from aiohttp_pydantic.oas.typing import r200, r503
from pydantic import BaseModel, Field

from kt_images.database import schema
from kt_images.errors import KtImagesError, SchemaError, UnavailableError
from kt_images.models import Error
from kt_images.views.base import View, json_answer

# Who asks whether requests can be served does not wait for a database that hangs.
PATIENCE_SECONDS = 2.0


class Health(BaseModel):
    """The service's own word on itself."""

    status: str = Field(description='Always "ok"; other answers are errors.', examples=["ok"])


class HealthView(View):
    """Whether the process is up."""

    async def get(self) -> r200[Health]:
        """Tell that the process is up.

        Status Codes:
            200: It is.
        """
        return json_answer(Health(status="ok"))

    head = get


class ReadyView(View):
    """Whether requests can be served."""

    async def get(self) -> r200[Health] | r503[Error]:
        """Tell whether the database, its schema and the store can be reached.

        Status Codes:
            200: They can.
            503: One cannot; the sentence names it.
        """
        unreachable = []
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await schema.check(self.db)
        except SchemaError:
            unreachable.append("schema")
        except (KtImagesError, TimeoutError):
            unreachable.append("database")
        try:
            await self.store.check()
        except UnavailableError:
            unreachable.append("store")
        if unreachable:
            raise UnavailableError(f"Not reachable: {', '.join(unreachable)}")
        return json_answer(Health(status="ok"))

    head = get
