"""The Python client of the API.

    from kt_images.client import Client

    async with Client("http://localhost:8080") as client:
        async for image in client.images(tags_all=["sea"]):
            print(image.filename)

client --> listing, bulk, importing, uploads, downloads --> connection --> HTTP
                                                               `--> retry

client         every call of the service, one method each
listing        a streamed list, which proves that it is complete
bulk           a change of many images, which tells how far it is
importing      lines that become images
uploads        a file as the form that the service takes
downloads      an attachment's bytes: resumed, verified, put in place in one step
fingerprints   the SHA-256 of a local file
keys           keys, and how one is written
images         images, tags and attachments, read from JSON
selection      the filters of a list
connection     HTTP: an answer within bounds, or an error
addresses      where the service is
refusals       what the service refuses, as errors
retry          how often a call is tried again, and for how long
errors         everything that a call can raise

Imports nothing else of kt_images.
"""

from kt_images.client.bulk import Failure, Outcome
from kt_images.client.client import Client
from kt_images.client.errors import (
    ClientError,
    ConnectionBrokenError,
    DigestMismatchError,
    ForbiddenError,
    IncompleteChangeError,
    IncompleteImportError,
    IncompleteListError,
    InvalidAddressError,
    InvalidKeyError,
    NotFoundError,
    RefusedError,
    StoreFullError,
    TargetExistsError,
    UnauthorizedError,
    UnexpectedAnswerError,
    UnreachableError,
)
from kt_images.client.images import Attachment, Image, TagCount
from kt_images.client.importing import Imported, Refused
from kt_images.client.keys import IssuedKey, Key
from kt_images.client.selection import Filters, Many
from kt_images.client.uploads import OnDuplicate, Uploaded

__all__ = [
    "Attachment",
    "Client",
    "ClientError",
    "ConnectionBrokenError",
    "DigestMismatchError",
    "Failure",
    "Filters",
    "ForbiddenError",
    "Image",
    "Imported",
    "IncompleteChangeError",
    "IncompleteImportError",
    "IncompleteListError",
    "InvalidAddressError",
    "InvalidKeyError",
    "IssuedKey",
    "Key",
    "Many",
    "NotFoundError",
    "OnDuplicate",
    "Outcome",
    "Refused",
    "RefusedError",
    "StoreFullError",
    "TagCount",
    "TargetExistsError",
    "UnauthorizedError",
    "UnexpectedAnswerError",
    "UnreachableError",
    "Uploaded",
]
