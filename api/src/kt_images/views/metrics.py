"""/metrics: what is counted and measured, for Prometheus."""

import asyncio

from aiohttp import hdrs, web
from aiohttp_pydantic.oas.typing import r200

from kt_images.exposition import exposition
from kt_images.models.scopes import Scope
from kt_images.views.base import View
from kt_images.views.call import Content, call

EXPOSED: Content = {
    "text/plain": {"schema": {"type": "string", "description": "Prometheus' text format."}},
    "application/openmetrics-text": {"schema": {"type": "string", "description": "OpenMetrics."}},
}


class MetricsView(View):
    """Measurements."""

    group = "The service"

    @call("read_metrics", Scope.METRICS, answers={200: EXPOSED})
    async def get(self) -> r200:
        """Read what is counted and measured.

        As Prometheus reads it: in its text format, or as OpenMetrics if the header Accept asks for that. Where several
        processes serve on a machine, the answer is that of all.

        Status Codes:
            200: The metrics.
        """
        accept = ",".join(self.request.headers.getall(hdrs.ACCEPT, []))
        # In a thread: where several processes serve, it reads their files.
        text, media_type = await asyncio.to_thread(exposition, accept)
        return web.Response(body=text, headers={hdrs.CONTENT_TYPE: media_type})

    head = get
