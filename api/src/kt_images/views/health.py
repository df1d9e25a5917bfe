"""/healthz and /readyz: for load balancers and monitors."""

import asyncio

from aiohttp_pydantic.oas.typing import r200, r503
from pydantic import BaseModel, Field

from kt_images.database import schema
from kt_images.errors import KtImagesError, SchemaError, UnavailableError
from kt_images.models.errors import Error
from kt_images.views.base import View, json_answer
from kt_images.views.call import call

# A monitor must not wait for a database that hangs.
PATIENCE_SECONDS = 2.0


class Health(BaseModel):
    """The service's state."""

    status: str = Field(description='Always "ok"; any other state is an error.', examples=["ok"])


class HealthView(View):
    """Whether the process is up."""

    group = "The service"

    @call("check_health", scope=None)
    async def get(self) -> r200[Health]:
        """Check that the process is up.

        Status Codes:
            200: It is up.
        """
        return json_answer(Health(status="ok"))

    head = get


class ReadyView(View):
    """Whether requests can be served."""

    group = "The service"

    @call("check_readiness", scope=None)
    async def get(self) -> r200[Health] | r503[Error]:
        """Check that requests can be served.

        Status Codes:
            200: The database, its schema and the store can be reached.
            503: One of them cannot; the sentence names it.
        """
        found = await asyncio.gather(self._missing_of_database(), self._missing_of_store())
        if unreachable := [one for one in found if one]:
            raise UnavailableError(f"Not reachable: {', '.join(unreachable)}")
        return json_answer(Health(status="ok"))

    head = get

    async def _missing_of_database(self) -> str | None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await schema.check(self.db)
        except SchemaError:
            return "schema"
        except (KtImagesError, TimeoutError):
            return "database"
        return None

    async def _missing_of_store(self) -> str | None:
        checking = asyncio.create_task(self.store.check())
        checking.add_done_callback(asyncio.Task.exception)  # also when nobody waits for it any more
        # Not cancelled when it takes longer: a thread that hangs in a system call cannot be.
        await asyncio.wait([checking], timeout=PATIENCE_SECONDS)
        return None if checking.done() and not checking.exception() else "store"
