"""The calls of the service, one method each."""

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Sequence
from contextlib import aclosing
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal, Self, Unpack

from kt_images.client import bulk, downloads, importing, keys, listing, selection
from kt_images.client.bulk import Done, Outcome, nobody
from kt_images.client.connection import Connection, quoted
from kt_images.client.images import (
    Attachment,
    Image,
    TagCount,
    attachments_of,
    read_attachments,
    read_count,
    read_image,
)
from kt_images.client.importing import Imported, Refused
from kt_images.client.keys import IssuedKey, Key
from kt_images.client.selection import Filters, Many
from kt_images.client.uploads import OnDuplicate, Progress, Source, Uploaded, nothing, sent

PATIENCE = 5.0
MOST_DIGESTS = 100  # that the service takes in one call
LARGEST_IN_MEMORY = 64 * 2**20


class Client:
    """The service at an address such as `http://localhost:8080`; to be used with `async with`.

    While the service is unavailable or the connection breaks, a call is tried again for up to `patience` seconds, if
    that cannot do its work twice. Every call raises ClientError; its docstring names the subclasses to expect.
    """

    def __init__(self, server: str, patience: float = PATIENCE, *, key: str | None = None) -> None:
        """`key` is sent with each request. Raises InvalidAddressError, InvalidKeyError."""
        self._connection = Connection(server, patience, key)

    async def __aenter__(self) -> Self:
        await self._connection.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.__aexit__()

    @property
    def address(self) -> str:
        """The address of the service, without a name and password."""
        return str(self._connection)

    async def images(self, **filters: Unpack[Filters]) -> AsyncGenerator[Image, None]:
        """Yield the images that match all filters, by `image_id`; all images without filters.

        The list is streamed. It ends normally only if it is complete, and raises IncompleteListError otherwise.
        """
        async with aclosing(self.batches(**filters)) as batches:
            async for images in batches:
                for image in images:
                    yield image

    def batches(self, **filters: Unpack[Filters]) -> AsyncGenerator[list[Image], None]:
        """Yield the same images in lists of as many as have arrived, which is faster for many."""
        return listing.batches(self._connection, listing.IMAGES, selection.query(filters))

    async def count(self, **filters: Unpack[Filters]) -> int:
        """Return how many images match all filters."""
        return await self._connection.call("GET", "images/count", read_count, params=selection.query(filters))

    async def tags(
        self,
        *,
        prefix: str | None = None,
        contains: str | None = None,
        order: Literal["name", "images"] = "name",
        limit: int | None = None,
    ) -> AsyncGenerator[TagCount, None]:
        """Yield the tags that begin so or contain this, in upper or lower case, with the numbers of their images.

        Raises IncompleteListError unless the list is complete.
        """
        given = {"prefix": prefix, "contains": contains, "order": order, "limit": limit}
        query = [(name, str(value)) for name, value in given.items() if value is not None]
        async with aclosing(listing.batches(self._connection, listing.TAGS, query)) as batches:
            async for tags in batches:
                for tag in tags:
                    yield tag

    async def change_many(
        self,
        *,
        add_tags: Sequence[str] = (),
        remove_tags: Sequence[str] = (),
        done: Done = nobody,
        **which: Unpack[Many],
    ) -> Outcome:
        """Add and remove tags of all images that match the filters, of those in `image_ids`, or of `all`.

        `done` gets how many are done, and of how many, as it goes. Raises RefusedError unless they are said in one of
        these ways, and IncompleteChangeError when it breaks off; the same call again finishes it.
        """
        query, body = selection.parted(which)
        changes = {"add_tags": _listed(add_tags), "remove_tags": _listed(remove_tags)}
        body |= {name: tags for name, tags in changes.items() if tags}
        return await bulk.change(self._connection, "PATCH", "images", done, query, body)

    async def delete_many(self, *, done: Done = nobody, **which: Unpack[Many]) -> Outcome:
        """Delete all images that match the filters, those in `image_ids`, or `all`. As `change_many()`."""
        query, body = selection.parted(which)
        return await bulk.change(self._connection, "DELETE", "images", done, query, body or None)

    async def rename_tag(
        self,
        tag: str,
        to: str,
        *,
        merge: bool = False,
        dry_run: bool = False,
        expected: int | None = None,
        done: Done = nobody,
    ) -> Outcome:
        """Rename a tag on all images that have it, or `merge` it into one that exists. As `change_many()`.

        Raises NotFoundError, RefusedError if `to` exists and is not to be merged with, and IncompleteChangeError when
        it breaks off; with `merge` it can be finished.
        """
        guards: Many = {"dry_run": dry_run}
        if expected is not None:
            guards["expected"] = expected
        query, _ = selection.parted(guards)
        body = {"tag": tag, "to": to, "merge": merge}
        return await bulk.change(self._connection, "POST", "tags/rename", done, query, body)

    async def import_images(
        self,
        lines: AsyncIterable[bytes],
        progress: Callable[[Imported], None] = importing.nothing,
        refused: Callable[[Refused], None] = importing.nothing,
    ) -> Imported:
        """Store an image for each line, which is JSON such as `{"filename": "a.jpg", "tags": ["sea"]}`.

        The lines may come in pieces of any size. Raises IncompleteImportError, which tells how many are done with.
        """
        return await importing.send(self._connection, lines, progress, refused)

    async def image(self, image_id: int) -> Image:
        """Return the image. Raises NotFoundError."""
        return await self._connection.call("GET", f"images/{image_id}", read_image)

    async def create(self, filename: str, tags: Sequence[str] = ()) -> Image:
        """Store an image without a file. It is sent once: if its answer is lost, there may be an image or not."""
        body = {"filename": filename, "tags": _listed(tags)}
        return await self._connection.call("POST", "images", read_image, repeatable=False, json=body)

    async def change(
        self,
        image_id: int,
        *,
        filename: str | None = None,
        tags: Sequence[str] | None = None,
        add_tags: Sequence[str] | None = None,
        remove_tags: Sequence[str] | None = None,
    ) -> Image:
        """Change what is given and return the image as it is then; `tags` replaces all tags. Raises NotFoundError."""
        changes = {"tags": tags, "add_tags": add_tags, "remove_tags": remove_tags}
        body: dict[str, Any] = {name: _listed(value) for name, value in changes.items() if value is not None}
        if filename is not None:
            body["filename"] = filename
        return await self._connection.call("PATCH", f"images/{image_id}", read_image, json=body)

    async def delete(self, image_id: int) -> None:
        """Delete the image and its attachments. Raises NotFoundError."""
        await self._connection.delete(f"images/{image_id}")

    async def upload(
        self,
        source: Source,
        filename: str | None = None,
        tags: Sequence[str] = (),
        *,
        on_duplicate: OnDuplicate = OnDuplicate.MERGE_TAGS,
        sha256: str | None = None,
        progress: Progress = nothing,
    ) -> Uploaded:
        """Store a file, given by its path or its bytes, as an image, which is named like the file.

        Bytes that the service holds already are not stored again, unless `on_duplicate` is CREATE; such an upload is
        sent once, as its answer may be lost. `sha256`, in hexadecimal, is verified by the service. `progress` gets the
        number of bytes each time some are sent. Raises OSError, StoreFullError, RefusedError.
        """
        name = _name(source, filename)
        query = {"on_duplicate": str(on_duplicate)}

        async def attempt() -> Uploaded:
            upload = sent(
                self._connection,
                "images/upload",
                source,
                name,
                progress,
                tags=_listed(tags),
                sha256=sha256,
                query=query,
            )
            async with upload as response:
                image = await self._connection.read(response, read_image)
                return Uploaded(image, response.status == HTTPStatus.CREATED)

        is_repeatable = on_duplicate != OnDuplicate.CREATE
        return await (self._connection.repeat(attempt) if is_repeatable else attempt())

    async def attachments(self, image_id: int) -> list[Attachment]:
        """Return the image's attachments, by filename. Raises NotFoundError."""
        return await self._connection.call("GET", f"images/{image_id}/attachments", attachments_of(image_id))

    async def find_attachments(self, sha256s: Iterable[str]) -> list[Attachment]:
        """Return the attachments of all images that have one of these SHA-256, of each the first hundred.

        Asks for a hundred at a time. Raises NotFoundError if the service is too old to know.
        """
        digests, found = list(dict.fromkeys(sha256s)), []
        for first in range(0, len(digests), MOST_DIGESTS):
            query = [("sha256", one) for one in digests[first : first + MOST_DIGESTS]]
            found += await self._connection.call("GET", "attachments", read_attachments, params=query)
        return found

    async def attach(
        self,
        image_id: int,
        source: Source,
        filename: str | None = None,
        *,
        sha256: str | None = None,
        progress: Progress = nothing,
    ) -> None:
        """Store a file as the image's attachment `filename`, in place of one of that name. Raises as `upload`."""
        name = _name(source, filename)

        async def attempt() -> None:
            async with sent(self._connection, _attachment_path(image_id, name), source, name, progress, sha256=sha256):
                pass

        await self._connection.repeat(attempt)

    async def delete_attachment(self, image_id: int, filename: str) -> None:
        """Delete the attachment. Raises NotFoundError."""
        await self._connection.delete(_attachment_path(image_id, filename))

    async def media(
        self, image_id: int, filename: str, *, width: int | None = None, limit: int = LARGEST_IN_MEMORY
    ) -> bytes:
        """Return the attachment's bytes, or those of a thumbnail at most `width` pixels wide.

        Raises NotFoundError, and UnexpectedAnswerError for more than `limit` bytes.
        """
        query = {} if width is None else {"width": str(width)}

        async def attempt() -> bytes:
            path = downloads.media_path(image_id, filename)
            async with self._connection.answer("GET", path, follow=True, params=query) as response:
                return await self._connection.body(response, limit)

        return await self._connection.repeat(attempt)

    def media_url(self, image_id: int, filename: str) -> str:
        """Return the URL of the attachment's bytes."""
        return str(self._connection.url(downloads.media_path(image_id, filename)))

    def chunks(self, attachment: Attachment) -> AsyncGenerator[bytes, None]:
        """Yield the attachment's bytes as they arrive; a broken connection is replaced.

        Raises DigestMismatchError at the end if they do not have its SHA-256.
        """
        return downloads.verified(self._connection, attachment)

    async def download(
        self, attachment: Attachment, target: str | Path, *, overwrite: bool = False, progress: Progress = nothing
    ) -> bool:
        """Store the attachment as a local file; return False if it is there already, with the same bytes.

        The file appears once it is complete and verified. An interrupted download is resumed by the next call. Raises
        OSError, TargetExistsError, DigestMismatchError.
        """
        return await downloads.download(self._connection, attachment, Path(target), overwrite, progress)

    async def keys(self) -> list[Key]:
        """Return all keys, without their secrets, the oldest first."""
        return await self._connection.call("GET", "keys", keys.read_keys)

    async def create_key(self, name: str, scopes: Sequence[str], expires_at: datetime | None = None) -> IssuedKey:
        """Make a key, for `read`, `write`, `delete`, `admin` or `metrics`; `expires_at` has a time zone.

        It is sent once: if its answer is lost, there may be a key whose secret nobody knows.
        """
        body: dict[str, Any] = {"name": name, "scopes": list(scopes)}
        if expires_at is not None:
            body["expires_at"] = expires_at.isoformat()
        return await self._connection.call("POST", "keys", keys.read_issued, repeatable=False, json=body)

    async def rotate_key(self, key_id: str, overlap_seconds: int = 0) -> IssuedKey:
        """Give the key a new secret; the old one works for `overlap_seconds` more. It is sent once.

        Raises NotFoundError, InvalidKeyError.
        """
        path, body = f"{keys.path(key_id)}/rotate", {"overlap_seconds": overlap_seconds}
        return await self._connection.call("POST", path, keys.read_issued, repeatable=False, json=body)

    async def revoke_key(self, key_id: str) -> None:
        """End the key. Raises NotFoundError, InvalidKeyError."""
        await self._connection.delete(keys.path(key_id))


def _listed(tags: Sequence[str]) -> list[str]:
    return [tags] if isinstance(tags, str) else list(tags)  # a text is one tag, and not as many as it has letters


def _name(source: Source, filename: str | None) -> str:
    if filename is not None:
        return filename
    if isinstance(source, bytes):
        raise TypeError("Bytes have no name of their own: give a filename")
    return Path(source).name


def _attachment_path(image_id: int, filename: str) -> str:
    return f"images/{image_id}/attachment/{quoted(filename)}"
