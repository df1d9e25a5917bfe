"""What the views find on the application."""

from aiohttp import web

from kt_images.base_settings import Settings
from kt_images.database.pool import Pool
from kt_images.files.pictures import Pictures
from kt_images.files.store import Store
from kt_images.files.thumbnails import Thumbnails

SETTINGS = web.AppKey("settings", Settings)
POOL = web.AppKey("pool", Pool)
STREAM_POOL = web.AppKey("stream_pool", Pool)
PICTURES = web.AppKey("pictures", Pictures)
THUMBNAILS = web.AppKey("thumbnails", Thumbnails)
STORE = web.AppKey("store", Store)
