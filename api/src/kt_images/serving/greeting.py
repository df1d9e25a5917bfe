"""What whoever starts the service is told: where it listens, where its data is, and whether anybody may call."""

import ipaddress

from yarl import URL

from kt_images import logs
from kt_images.base_settings import Access, Settings
from kt_images.files.stores import name_of
from kt_images.serving.sockets import Place

KEYS = "python3 -m kt_images.manage.keys create NAME --scopes read,write,delete,admin,metrics"
BEARER = """-H "Authorization: Bearer $KT_IMAGES_KEY" """
EXAMPLE = """-H 'Content-Type: application/json' -d '{"filename": "example.jpg", "tags": ["canon"]}'"""


def greet(settings: Settings, place: Place) -> None:
    """Print the greeting of a service that listens at this place."""
    addresses = [(ipaddress.ip_address(one.getsockname()[0].partition("%")[0]), one.getsockname()[1]) for one in place]
    first, port = addresses[0]
    host = "localhost" if first.is_unspecified else str(first)
    url = str(URL.build(scheme="http", host=host, port=port)) + settings.base_path
    folders = f"image files are in {name_of(settings)}"
    if not settings.postgres_dsn:
        folders = f"database is in {settings.database_dir.resolve()}, the {folders}"
    logs.say(f"kt-images serves on {url}; open it in a browser. {url}/oas documents the API. Press Ctrl-C to stop.")
    how = "Try" if settings.access is Access.OPEN else "Try, with a key in the variable KT_IMAGES_KEY"
    bearer = "" if settings.access is Access.OPEN else BEARER
    logs.say(f"The {folders}. {how}:\n  curl {url}/images {bearer}{EXAMPLE}")
    reached = [
        str(URL.build(host=str(address), port=number)).removeprefix("//")
        for address, number in addresses
        if not address.is_loopback
    ]
    if who := _who_may_call(settings.access, " and ".join(reached)):
        logs.say(who)


def _who_may_call(access: Access, addresses: str) -> str:
    """Say who may call, given the addresses that others reach; nothing where that goes without saying."""
    if access is not Access.OPEN:
        where = f"It listens on {addresses}; a" if addresses else "A"
        what = "to change anything" if access is Access.KEYS_TO_WRITE else "for everything"
        return f"{where} key is required {what} (KT_IMAGES_ACCESS={access}). Make one by {KEYS}"
    if addresses:
        return (
            f"It listens on {addresses}, and whoever reaches that may read, change and delete everything. "
            f"To require a key, make one by {KEYS} and set KT_IMAGES_ACCESS=keys"
        )
    return ""
