"""What can go wrong, without HTTP.

Every class here carries a sentence that may be shown to a client: it names no query, no path of the server
and repeats no input beyond an id. `http/problems.py` is the one place that turns them into statuses.
"""

import contextlib
from collections.abc import Callable, Iterator


class KtImagesError(Exception):
    """A failure whose sentence may be shown to whoever asked."""

    sentence = "The request failed"

    def __init__(self, sentence: str | None = None) -> None:
        super().__init__(sentence or self.sentence)


class InvalidRequestError(KtImagesError):
    """The request cannot be understood, or asks for what is not allowed."""

    sentence = "The request cannot be understood"


class NotFoundError(KtImagesError):
    """What was asked for does not exist."""

    sentence = "Nothing is stored here"


class ImageNotFoundError(NotFoundError):
    """There is no image with this id."""

    def __init__(self, image_id: int) -> None:
        super().__init__(f"Image <{image_id}> is not found")


class AttachmentNotFoundError(NotFoundError):
    """The image has no attachment of this name."""

    sentence = "The image has no attachment of this name"


class PreconditionFailedError(KtImagesError):
    """What is stored is another version than the client made its request for."""

    sentence = "What is stored is not what If-Match asked for"


class UnsatisfiableRangeError(KtImagesError):
    """The bytes asked for are beyond the end of a file of `size` bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__(f"The file has {size} bytes")


class DamagedStoreError(KtImagesError):
    """A file of the store is not what its row says: gone, cut off, or no regular file."""

    sentence = "The stored file is damaged"


class DigestMismatchError(InvalidRequestError):
    """The bytes that came are not those that the client has a digest of."""

    sentence = "The file's bytes are not those of the digest that was sent with them"


class DuplicateError(KtImagesError):
    """The image `image_id` has the same bytes already."""

    def __init__(self, image_id: int) -> None:
        self.image_id = image_id
        super().__init__(f"Image <{image_id}> has the same bytes")


class StalledError(KtImagesError):
    """The client takes too long to send its body."""

    sentence = "The body did not come in time"


class TooLargeError(KtImagesError):
    """More bytes or more pixels than the settings allow."""


class UnsupportedMediaTypeError(KtImagesError):
    """The body is not of a type that the call takes."""

    sentence = "The body must be a JSON object, sent as application/json"


class UnavailableError(KtImagesError):
    """The database or the store cannot be reached now, or no connection came free in time."""

    sentence = "The service cannot reach its database now, please try again"


class ReadOnlyError(UnavailableError):
    """The database takes no changes: it is a standby, or was made read-only."""

    sentence = "The database takes no changes now, please try again"


class SchemaError(KtImagesError):
    """The database's schema is missing or older than this version of the service needs."""

    sentence = (
        "The database's schema is missing or older than this version of the service; run: "
        "python3 -m kt_images.manage.load_fixtures --upgrade"
    )


class NewerSchemaError(SchemaError):
    """The database's schema was changed by a newer version of the service."""

    sentence = "The database's schema is newer than this version of the service; install the newer version"


class OtherStoreError(KtImagesError):
    """The folder for the files is not the store that belongs to the database."""

    sentence = (
        "The folder for the files is not the store of this database: another one is there, or none, as when a disk is "
        "not mounted. To take it all the same, empty the database's table store"
    )


class CommitInDoubtError(UnavailableError):
    """The connection broke while COMMIT was on its way: it may have happened or not."""


class CollectedError(UnavailableError):
    """The collector took the object of an upload before its row was written, after the grace period."""

    sentence = "Storing the file took too long; please send it again"


class TooSlowError(KtImagesError):
    """The database took longer than the statement timeout."""

    sentence = "The database took too long to answer"


class DiskFullError(KtImagesError):
    """The store has no room left."""

    sentence = "The store is full"


@contextlib.contextmanager
def translated_errors(translate: Callable[[Exception], KtImagesError | None]) -> Iterator[None]:
    """Raise what `translate` makes of an exception, and the exception itself where it makes nothing of it.

    Each floor has one such function, for the library or the system below it.
    """
    try:
        yield
    except KtImagesError:
        raise
    except Exception as error:
        if ours := translate(error):
            raise ours from error
        raise
