"""What the views find on the application."""

import asyncio

from aiohttp import web

from kt_images.base_settings import Settings
from kt_images.database.database import Database
from kt_images.files.decoders import Decoders
from kt_images.files.store import Store
from kt_images.files.thumbnails import Thumbnails
from kt_images.readiness import Readiness
from kt_images.uploads import Uploads
from kt_images.views.sending import Room

SETTINGS = web.AppKey("settings", Settings)
DATABASE = web.AppKey("database", Database)
STREAMS = web.AppKey("streams", asyncio.Semaphore)
IMPORTS = web.AppKey("imports", asyncio.Semaphore)
MANY = web.AppKey("many", asyncio.Semaphore)
DECODERS = web.AppKey("decoders", Decoders)
THUMBNAILS = web.AppKey("thumbnails", Thumbnails)
# Not `Store`: a key's type must be a class.
STORE: web.AppKey[Store] = web.AppKey("store")
ROOM = web.AppKey("room", Room)
UPLOADS = web.AppKey("uploads", Uploads)
READINESS = web.AppKey("readiness", Readiness)
