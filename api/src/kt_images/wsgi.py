"""The application as a module's attribute, for gunicorn and for `python3 -m aiohttp_pydantic.oas`."""

from kt_images import logs
from kt_images.application import create_app
from kt_images.base_settings import read_settings

_settings = read_settings([])
logs.begin(_settings.access_log)

app = create_app(_settings)
