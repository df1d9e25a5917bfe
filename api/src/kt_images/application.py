"""The application: its routes and its middlewares, on one screen."""

import asyncio

from aiohttp import web

from kt_images import lifecycle
from kt_images.access.gate import GATE, Gate
from kt_images.base_settings import Settings
from kt_images.http import addresses, expect, problems, protocol, safety
from kt_images.http.expect import on_expect
from kt_images.http.in_flight import IN_FLIGHT, InFlight
from kt_images.http.sites import Sites
from kt_images.shares import share
from kt_images.views import app_keys, documentation, gallery, pages
from kt_images.views.attachments import AttachmentsView, AttachmentView, FoundAttachmentsView
from kt_images.views.call import scope_of
from kt_images.views.health import HealthView, ReadyView
from kt_images.views.images import ImageCountView, ImagesView, ImageView
from kt_images.views.keys import KeyRotationView, KeysView, KeyView
from kt_images.views.media import MediaView
from kt_images.views.metrics import MetricsView
from kt_images.views.sending import Room
from kt_images.views.session import SessionView
from kt_images.views.tag_rename import TagRenameView
from kt_images.views.tags import TagsView
from kt_images.views.thumbnail import ThumbnailView
from kt_images.views.uploads import UploadView

# Any text of a path, braces included; whether it is an id or a name is for the views to say.
IMAGE_ID, FILENAME, KEY_ID = "{image_id:[^/]+}", "{filename:[^/]+}", "{id:[^/]+}"

VIEWS = {
    "/images": ImagesView,
    "/images/count": ImageCountView,
    "/images/upload": UploadView,
    f"/images/{IMAGE_ID}": ImageView,
    f"/images/{IMAGE_ID}/thumbnail": ThumbnailView,
    f"/images/{IMAGE_ID}/attachments": AttachmentsView,
    f"/images/{IMAGE_ID}/attachment/{FILENAME}": AttachmentView,
    "/tags": TagsView,
    "/tags/rename": TagRenameView,
    "/attachments": FoundAttachmentsView,
    f"/media/{IMAGE_ID}/{FILENAME}": MediaView,
    "/keys": KeysView,
    f"/keys/{KEY_ID}": KeyView,
    f"/keys/{KEY_ID}/rotate": KeyRotationView,
    "/session": SessionView,
    "/healthz": HealthView,
    "/readyz": ReadyView,
    "/metrics": MetricsView,
}

PAGES = {
    "/": gallery.home,
    "/gallery/{name:[^/]+}": gallery.file,
    "/oas": pages.file("index.html", "text/html"),
    "/oas/index.js": pages.file("index.js", "text/javascript"),
    "/oas/index.css": pages.file("index.css", "text/css"),
    "/oas/swagger-ui-bundle.js": pages.file("swagger-ui-bundle.js", "text/javascript"),
    "/oas/swagger-ui.css": pages.file("swagger-ui.css", "text/css"),
}

# At once, of all workers together; each holds some megabytes.
MOST_IMPORTS = 8
# At once; each takes a connection for a while, again and again.
MOST_CHANGES_OF_MANY = 4
# For small files on their way to slow clients.
ROOM_BYTES = 64 * 2**20


def create_app(settings: Settings) -> web.Application:
    """Return the service. Nothing is opened before the application starts."""
    in_flight, sites, gate = InFlight(), Sites(settings), Gate(settings.access, scope_of)
    # Each sees what those after it answer or raise.
    middlewares = [
        in_flight.middleware,
        problems.middleware,
        sites.middleware,
        gate.middleware,
        expect.middleware,
    ]
    app = web.Application(middlewares=middlewares)
    app[IN_FLIGHT], app[GATE] = in_flight, gate
    app[lifecycle.REASONS_TO_END] = []
    app[app_keys.SETTINGS] = settings
    app[app_keys.ROOM] = Room(share(ROOM_BYTES, settings.workers))
    app[app_keys.IMPORTS] = asyncio.Semaphore(share(MOST_IMPORTS, settings.workers))
    app[app_keys.MANY] = asyncio.Semaphore(share(MOST_CHANGES_OF_MANY, settings.workers))
    app[app_keys.STREAMS] = asyncio.Semaphore(settings.max_streams)
    for path, view in VIEWS.items():
        app.router.add_route("*", path, view, expect_handler=on_expect)
    for path, page in PAGES.items():
        app.router.add_get(path, page, expect_handler=on_expect)
    app.router.add_get("/oas/spec", documentation.describing(app), expect_handler=on_expect)
    app.on_response_prepare.extend(
        [safety.on_response_prepare, sites.on_response_prepare, gate.on_response_prepare, in_flight.on_response_prepare]
    )
    addresses.install(app, settings.base_path)
    app.cleanup_ctx.extend(lifecycle.CONTEXTS)
    protocol.install()
    documentation.install(app)
    return app
