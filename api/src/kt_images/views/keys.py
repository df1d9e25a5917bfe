"""What the views find on the application."""

import asyncio

from aiohttp import web

from kt_images.base_settings import Settings
from kt_images.database.pool import Pool
from kt_images.files.store import Store

SETTINGS = web.AppKey("settings", Settings)
POOL = web.AppKey("pool", Pool)
STREAM_POOL = web.AppKey("stream_pool", Pool)
REPLICA_POOL = web.AppKey("replica_pool", Pool)
REPLICA_STREAM_POOL = web.AppKey("replica_stream_pool", Pool)
STREAMS = web.AppKey("streams", asyncio.Semaphore)
STORE = web.AppKey("store", Store)
