"""What the views find on the application."""

import asyncio

from aiohttp import web

from kt_images.base_settings import Settings
from kt_images.database.database import Database
from kt_images.files.pictures import Pictures
from kt_images.files.store import Store
from kt_images.files.thumbnails import Thumbnails

SETTINGS = web.AppKey("settings", Settings)
DATABASE = web.AppKey("database", Database)
STREAMS = web.AppKey("streams", asyncio.Semaphore)
PICTURES = web.AppKey("pictures", Pictures)
THUMBNAILS = web.AppKey("thumbnails", Thumbnails)
STORE = web.AppKey("store", Store)
