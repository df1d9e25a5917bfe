"""/healthz and /readyz: for load balancers and monitors."""

from typing import Literal

from aiohttp_pydantic.oas.typing import r200, r503
from pydantic import BaseModel, Field

from kt_images.errors import UnavailableError
from kt_images.fields import Omittable
from kt_images.models.errors import Error
from kt_images.views import app_keys
from kt_images.views.base import View, json_answer, text_answer
from kt_images.views.call import call


class Health(BaseModel):
    """The state of the process."""

    status: str = Field(description='Always "ok"; any other state is an error.', examples=["ok"])


class Readiness(BaseModel):
    """The state of the service."""

    status: Literal["ok", "degraded"] = Field(description="Requests are served in both states.", examples=["ok"])
    reasons: Omittable[list[str]] = Field(
        None, description="What is worse than it should be, in a sentence each; not there with `ok`."
    )


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
    async def get(self) -> r200[Readiness] | r503[Error]:
        """Check that requests can be served.

        It answers within two seconds. A store that is full or nearly full, and replicas that are behind or away, are
        degraded: other requests are served.

        Status Codes:
            200: The database and its schema are there, and the store can be written.
            503: One of them is not; the sentence names it: database, schema or store.
        """
        state = await self.request.app[app_keys.READINESS].state()
        if state.unreachable:
            why = f". {state.why}" if state.why else ""
            raise UnavailableError(f"Not reachable: {', '.join(state.unreachable)}{why}")
        found = Readiness(status="degraded" if state.reasons else "ok", reasons=state.reasons or None)
        return text_answer(found.model_dump_json(exclude_none=True))

    head = get
