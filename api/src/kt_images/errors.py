"""What can go wrong, without HTTP.

The sentence of each error may be shown to a client: it names no query and no path of the server, and repeats no input
but an id. `http/problems.py` alone turns errors into statuses.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence


class KtImagesError(Exception):
    """A failure whose sentence may be shown to clients."""

    sentence = "The request failed"

    def __init__(self, sentence: str | None = None) -> None:
        super().__init__(sentence or self.sentence)


class InvalidRequestError(KtImagesError):
    """The request cannot be understood, or is not allowed."""

    sentence = "The request cannot be understood"


class NotFoundError(KtImagesError):
    """There is no such image, attachment or URL."""

    sentence = "There is nothing at this URL"


class ImageNotFoundError(NotFoundError):
    """There is no image with this id."""

    def __init__(self, image_id: int) -> None:
        super().__init__(f"Image <{image_id}> is not found")


class AttachmentNotFoundError(NotFoundError):
    """The image has no attachment of this name."""

    sentence = "The image has no attachment of this name; /images/{image_id}/attachments lists those it has"


class NoPictureError(NotFoundError):
    """No file is stored for the image."""

    sentence = "No file is stored for this image"


class ReplacedError(NotFoundError):
    """The attachment has other bytes than the URL asks for."""

    sentence = "The attachment has other bytes by now; /images/{image_id}/attachments lists where to download them"


class UnauthorizedError(KtImagesError):
    """The call needs a key, and none came that is valid."""


class MissingKeyError(UnauthorizedError):
    """No key came."""

    sentence = "This call needs a key, in the header Authorization: Bearer …; who runs the service makes keys"


class MalformedAuthorizationError(UnauthorizedError):
    """Something came, but not a key in its one form."""

    sentence = "A key is sent with the word Bearer before it, in one header: Authorization: Bearer kti_…"


class UnknownKeyError(UnauthorizedError):
    """There is no such key, or not any more."""

    sentence = "The key is not valid: it is misspelt or was revoked"


class ExpiredKeyError(UnauthorizedError):
    """The key has ended."""

    sentence = "The key has expired; who runs the service makes keys"


class EndedSessionError(UnauthorizedError):
    """The cookie's session has ended, or never was one."""

    sentence = "The session has ended; sign in again"


class ForbiddenError(KtImagesError):
    """The key may not do this."""

    sentence = "The key lacks the scope that this call needs"


class UndeclaredCallError(ForbiddenError):
    """The call does not say what it needs; that is a fault of the service, and nobody gets in."""

    sentence = "Nobody may make this call"


class KeyNotFoundError(NotFoundError):
    """There is no key with this id."""

    sentence = "There is no key with this id; it may be revoked already"


class TooManyKeysError(KtImagesError):
    """There are as many keys as can be."""

    def __init__(self, most: int) -> None:
        super().__init__(f"There are {most:,} keys already, and may not be more; revoke one first")


class OtherSiteError(KtImagesError):
    """A page of another site, in somebody's browser, wants to change something."""

    sentence = "Pages of other sites may not change anything here; KT_IMAGES_CORS_ORIGINS lists those that may"


class StrayCookieError(OtherSiteError):
    """A change comes with a session's cookie, and not from the service's own page."""

    sentence = "A session counts for changes by the service's own page alone; send a key in Authorization: Bearer …"


class OtherHostError(KtImagesError):
    """The request calls the service by a name that is not the service's."""

    sentence = "The service is not called by this name, but by localhost and what KT_IMAGES_ALLOWED_HOSTS lists"


class PreconditionFailedError(KtImagesError):
    """The stored file is not the version that the client's request is meant for."""

    sentence = "The stored file is not the version that If-Match names; read its ETag again"


class UnsatisfiableRangeError(KtImagesError):
    """The requested range starts beyond the end of a file of `size` bytes."""

    sentence = "The range starts beyond the end of the file"

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__(f"The range starts beyond the end of the file, which has {size} bytes")


class DamagedStoreError(KtImagesError):
    """An object does not match its row: it is missing, truncated, or not a regular file."""

    sentence = "The stored file is damaged"


class DamagedObjectError(DamagedStoreError):
    """The object of a row is damaged. The key and the image are for the log; clients get the sentence."""

    def __init__(self, key: str, image_id: int) -> None:
        self.key, self.image_id = key, image_id
        super().__init__()


class DigestMismatchError(InvalidRequestError):
    """The bytes received do not match the digest sent with them."""

    sentence = "The file does not match the digest sent with it: it was damaged on its way, or the digest is wrong"


class DuplicateError(KtImagesError):
    """The image `image_id` already has the same bytes."""

    sentence = "Image <19> has the same bytes"

    def __init__(self, image_id: int) -> None:
        self.image_id = image_id
        super().__init__(f"Image <{image_id}> has the same bytes")


class OtherNumberError(KtImagesError):
    """Another number of images match than the client expects."""

    sentence = "2 images match, not 3; nothing was changed"

    def __init__(self, images: int, expected: int) -> None:
        super().__init__(f"{images} images match, not {expected}; nothing was changed")


class TagExistsError(KtImagesError):
    """Images have the tag that another is to be renamed to."""

    sentence = "Images have the new name as a tag already; with merge the two become one"


class TagNotFoundError(NotFoundError):
    """No image has the tag."""

    sentence = "No image has this tag"


class TooManyAttachmentsError(KtImagesError):
    """The image has as many attachments as the settings allow."""

    def __init__(self, most: int) -> None:
        super().__init__(f"The image has {most} attachments already, and may not have more; delete one first")


class StalledError(KtImagesError):
    """The client sends its body too slowly."""

    sentence = "The body arrived too slowly and was dropped; send the request again"


class TooLargeError(KtImagesError):
    """More bytes or more pixels than the settings allow."""

    sentence = "The body is too large"


class UnsupportedMediaTypeError(KtImagesError):
    """The body is not of a type that the call takes."""

    sentence = "Send a JSON object with the header Content-Type: application/json"


class UnavailableError(KtImagesError):
    """The database or the store is unreachable, or no connection became free in time."""

    sentence = "The service cannot reach its database now; please try again"


class NoFolderError(UnavailableError):
    """The store's folder does not exist. `folder` is for terminals: clients see no path of the server."""

    sentence = "The store cannot be reached; please try again"

    def __init__(self, folder: str) -> None:
        self.folder = folder
        super().__init__()


class ReadOnlyError(UnavailableError):
    """The database is read-only: a standby, or set so."""

    sentence = "The database takes no changes now; please try again"


class SchemaError(KtImagesError):
    """The database's schema is missing, or older than this version of the service needs."""

    sentence = (
        "The database's schema is missing or older than this version of the service; run: "
        "python3 -m kt_images.manage.load_fixtures --upgrade"
    )


class NewerSchemaError(SchemaError):
    """The database's schema was changed by a newer version of the service."""

    sentence = "The database's schema is newer than this version of the service; install the newer version"


class OtherStoreError(KtImagesError):
    """The store is not the one that belongs to the database."""

    sentence = (
        "The folder for the files is not the store of this database: it is empty or another one, for example because a "
        "disk is not mounted. To adopt it anyway, run SQL: truncate store"
    )


class UnlimitedError(KtImagesError):
    """Sessions with the database lack limits on their time that the service sets: a pooler drops them."""

    sentence = "Sessions with the database have no limit on their time"

    def __init__(self, limits: Sequence[str]) -> None:
        super().__init__(
            f"Sessions with the database have no {', '.join(limits)}, without which one that hangs is never ended: a "
            "pooler drops what the service sets. Set them for the role, for example by SQL: "
            f"alter role … set {limits[0]} = '15s'; then have the pooler reconnect"
        )


class StoreMovedError(UnavailableError):
    """The store of this process is not the database's any more: its files were moved to another one."""

    sentence = "The files were moved to another store; the service has to be started anew with the setting of that one"


class MissingExtraError(KtImagesError):
    """The settings need a package that is not installed."""

    def __init__(self, extra: str) -> None:
        super().__init__(
            f"The settings need what is not installed: the extra `{extra}` of kt-images; "
            f"pip install 'kt-images[{extra}]' installs it"
        )


class CommitInDoubtError(UnavailableError):
    """The connection broke during COMMIT: the transaction may be committed or not."""

    sentence = "The service lost its database while it stored this, and cannot tell whether it is stored; please look"


class CollectedError(UnavailableError):
    """The collector took the object of an upload before its row was written, after the grace period."""

    sentence = "Storing the file took too long; please send it again"


class TooSlowError(KtImagesError):
    """The database took longer than the statement timeout."""

    sentence = "The database took too long to answer"


class DiskFullError(KtImagesError):
    """The store has no space left."""

    sentence = "The store is full; nothing was stored"


@contextlib.contextmanager
def translated_errors(translate: Callable[[Exception], KtImagesError | None]) -> Iterator[None]:
    """Raise the error that `translate` returns for an exception, or the exception itself if it returns None.

    Each layer has one such function, for the library or the system below it.
    """
    try:
        yield
    except KtImagesError:
        raise
    except Exception as error:
        if ours := translate(error):
            raise ours from error
        raise
