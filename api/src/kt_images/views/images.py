"""/images, /images/count and /images/{image_id}: create, list, count, read, change and delete images."""

from http import HTTPMethod

from aiohttp import web
from aiohttp_pydantic.oas.typing import r200, r201, r204, r404, r409

from kt_images.access.gate import require
from kt_images.database import bulk, images
from kt_images.database.selection import ImageQuery
from kt_images.fields import ImageId
from kt_images.models.errors import Error
from kt_images.models.images import Image, ImageChanges, ImageCount, ImageList, NewImage, Totals
from kt_images.models.many import DryRun, ManyChanges, Outcome, TheseImages
from kt_images.models.scopes import Scope
from kt_images.views import bulk as many
from kt_images.views import importing
from kt_images.views.base import View, json_answer, text_answer
from kt_images.views.bulk import ManyParameters
from kt_images.views.call import OUTCOMES, call, ndjson
from kt_images.views.filters import Filters, ListParameters
from kt_images.views.listing import send


class ImagesView(View):
    """All images."""

    group = "Images"

    @call("list_images", Scope.READ, answers={200: ndjson("An image on each line, then the totals on the last line.")})
    async def get(self, wanted: ListParameters) -> r200[ImageList]:
        """List images by image_id, as a stream.

        An image is listed if it meets every filter. The list ends with its totals, which are sent only after every
        image: a list without them is incomplete. With `Accept: application/x-ndjson` each image is on a line of its
        own, and the totals are on the last line.

        Status Codes:
            200: Chunks of images, then the totals.
        """
        query = ImageQuery(wanted=wanted.selection())
        return await send(
            self, self.reader.streams, query, lambda images, chunks: Totals(totalImages=images, totalChunks=chunks)
        )

    head = get

    async def _iter(self) -> web.StreamResponse:
        if self.request.method == HTTPMethod.POST and self.request.content_type == importing.MEDIA_TYPE:
            self._refuse_bad_query(importing.PARAMETERS)
            return await importing.run(self, self.request.query)
        return await super()._iter()

    @call(
        "create_image",
        Scope.WRITE,
        bodies=importing.BODY,
        answers={200: importing.ANSWER},
        parameters=importing.ImportParameters,
        examples={
            "With tags": {"filename": "example.jpg", "tags": ["example_1", "jpeg", "canon"]},
            "Without tags": {"filename": "example.jpg"},
        },
    )
    async def post(self, image: NewImage) -> r200 | r201[Image]:
        """Create an image from its filename and tags, or many.

        With `Content-Type: application/x-ndjson` each line is the JSON of an image to create, and all of them are
        stored, a thousand at a time and in their order, however many there are.

        Files are stored as its attachments, in calls of their own. To create an image from a file in one call, use
        `POST /images/upload`.

        Status Codes:
            200: The progress of an import, and its totals: an import without them is incomplete.
            201: The image with its image_id; the header Location has its URL.
        """
        created = await self.shared.create_image(image)
        return text_answer(created.json, status=201, Location=f"/images/{created.image_id}")

    @call(
        "change_images",
        Scope.WRITE,
        answers={200: OUTCOMES},
        examples={
            "Add and remove tags": {"add_tags": ["beach"], "remove_tags": ["todo"]},
            "Of these images": {"image_ids": [19, 20], "add_tags": ["beach"]},
        },
    )
    async def patch(self, parameters: ManyParameters, changes: ManyChanges) -> r200[Outcome | DryRun] | r409[Error]:
        """Change the tags of many images.

        They are changed a thousand at a time; if it breaks off, the same call again finishes the work. With `Accept:
        application/x-ndjson` there is a line after each thousand.

        Status Codes:
            200: What was done, once all of it is; with dry_run, what would be.
            409: Another number of images match than `expected`.
        """
        change = bulk.retagging(changes.add_tags or [], changes.remove_tags or [])
        return await self._change(parameters, changes, change)

    @call("delete_images", Scope.DELETE, body=TheseImages, answers={200: OUTCOMES})
    async def delete(self, parameters: ManyParameters) -> r200[Outcome | DryRun] | r409[Error]:
        """Delete many images and their attachments.

        They are deleted a thousand at a time; if it breaks off, the same call again finishes the work. The body is
        needed for ids only. With `Accept: application/x-ndjson` there is a line after each thousand.

        Status Codes:
            200: What was done, once all of it is; with dry_run, what would be.
            409: Another number of images match than `expected`.
        """
        return await self._change(parameters, await self.optional_body(TheseImages), bulk.DELETING)

    async def _change(self, wanted: ManyParameters, these: TheseImages, change: bulk.Change) -> web.StreamResponse:
        selection = wanted.of(these.image_ids)
        if wanted.all:
            require(self.request, Scope.ADMIN)
        return await many.run(self, selection, change, dry_run=wanted.dry_run is not None, expected=wanted.expected)


class ImageCountView(View):
    """How many images there are."""

    group = "Images"

    @call("count_images", Scope.READ)
    async def get(self, filters: Filters) -> r200[ImageCount]:
        """Count the images that meet every filter.

        Status Codes:
            200: Their number.
        """
        return json_answer(ImageCount(totalImages=await images.count(self.reader.statements, filters.selection())))

    head = get


class ImageView(View):
    """One image."""

    group = "Images"

    @call("read_image", Scope.READ)
    async def get(self, image_id: ImageId, /) -> r200[Image] | r404[Error]:
        """Read an image.

        Status Codes:
            200: The image.
        """
        return text_answer((await self.reader.shared.read_image(image_id)).json)

    head = get

    @call(
        "change_image",
        Scope.WRITE,
        examples={
            "Add and remove tags": {"add_tags": ["beach", "2024"], "remove_tags": ["todo"]},
            "Replace all tags": {"tags": ["example_1", "jpeg", "canon"]},
            "Rename": {"filename": "renamed.jpg"},
        },
    )
    async def patch(self, image_id: ImageId, /, changes: ImageChanges) -> r200[Image] | r404[Error]:
        """Change an image.

        What the body leaves out stays as it is. `tags` replaces all tags; `add_tags` and `remove_tags` change some.

        Status Codes:
            200: The image after the change.
        """
        return json_answer(await images.change(self.db, image_id, changes))

    @call("delete_image", Scope.DELETE)
    async def delete(self, image_id: ImageId, /) -> r204 | r404[Error]:
        """Delete an image and its attachments.

        Status Codes:
            204: The image is deleted.
        """
        await images.delete(self.db, image_id)
        return web.Response(status=204)
