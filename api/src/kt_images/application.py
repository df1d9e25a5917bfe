"""The application: its routes and its middlewares, on one screen."""

import asyncio

from aiohttp import web, web_server
from aiohttp.typedefs import Handler

from kt_images import lifecycle
from kt_images.base_settings import Settings
from kt_images.http import problems
from kt_images.views import app_keys, documentation
from kt_images.views.attachments import AttachmentsView, AttachmentView, FoundAttachmentsView
from kt_images.views.health import HealthView, ReadyView
from kt_images.views.images import ImagesView, ImageView
from kt_images.views.media import MediaView
from kt_images.views.uploads import UploadView

IMAGE_ID = "{image_id:[1-9][0-9]{0,18}}"
FILENAME = "{filename:[^/]+}"


class InFlight:
    """The requests that are being answered, so that the end of the service can wait for them."""

    def __init__(self) -> None:
        self._count = 0
        self._none = asyncio.Event()
        self._none.set()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._count += 1
        self._none.clear()
        try:
            return await handler(request)
        finally:
            self._count -= 1
            if not self._count:
                self._none.set()

    async def none(self) -> None:
        """Wait until there is none."""
        await self._none.wait()


IN_FLIGHT = web.AppKey("in_flight", InFlight)


def create_app(settings: Settings) -> web.Application:
    """Return the service. Nothing is opened before the application starts."""
    # aiohttp has no hook for answers to requests that it cannot parse.
    web_server.RequestHandler = problems.Protocol  # type: ignore[attr-defined]  # not exported, but looked up there
    documentation.install()

    in_flight = InFlight()
    app = web.Application(middlewares=[in_flight.middleware, problems.middleware])
    app[IN_FLIGHT] = in_flight
    app[lifecycle.FAILURES] = []
    app[app_keys.SETTINGS] = settings
    app[app_keys.STREAMS] = asyncio.Semaphore(settings.max_streams)
    for path, view in {
        "/images": ImagesView,
        "/images/upload": UploadView,
        f"/images/{IMAGE_ID}": ImageView,
        f"/images/{IMAGE_ID}/attachments": AttachmentsView,
        f"/images/{IMAGE_ID}/attachment/{FILENAME}": AttachmentView,
        "/attachments": FoundAttachmentsView,
        f"/media/{IMAGE_ID}/{FILENAME}": MediaView,
        "/healthz": HealthView,
        "/readyz": ReadyView,
    }.items():
        app.router.add_route("*", path, view, expect_handler=problems.on_expect)
    documentation.setup(app)
    app.on_response_prepare.append(_be_safe)
    app.cleanup_ctx.extend(lifecycle.CONTEXTS)
    return app


async def _be_safe(_request: web.Request, response: web.StreamResponse) -> None:
    problems.make_safe(response)
