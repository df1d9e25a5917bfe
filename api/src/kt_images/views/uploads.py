"""/images/upload: create an image from a file, in one call."""

from typing import Annotated

from aiohttp import web
from aiohttp_pydantic.oas.typing import r200, r201, r408, r409, r413, r415, r507
from pydantic import Field, TypeAdapter, ValidationError

from kt_images.base_settings import Settings
from kt_images.errors import InvalidRequestError
from kt_images.fields import Tags
from kt_images.http.forms import Form
from kt_images.http.validation import ValidationFailedError
from kt_images.models.errors import Error
from kt_images.models.images import Image, NewImage, OnDuplicate
from kt_images.models.scopes import Scope
from kt_images.views.base import View, json_answer
from kt_images.views.call import FILE, call

TAGS = "tags"
TAGS_FIELD = TypeAdapter(Tags).json_schema() | {"description": "The image's tags, each in a part of its own."}


class ImageForm(Form):
    """A form whose file and tags make a new image."""

    def __init__(self, request: web.Request, settings: Settings) -> None:
        super().__init__(request, settings, texts=[TAGS])

    def image(self) -> NewImage:
        """Return the new image, once `file()` is read to its end. Raises InvalidRequestError."""
        if self.filename is None:
            raise InvalidRequestError(
                "The form's field image has no file name; send one, as in curl -F image=@photo.jpg"
            )
        try:
            return NewImage.model_validate({"filename": self.filename, "tags": self.texts[TAGS]})
        except ValidationError as error:
            raise ValidationFailedError.of(error, "body") from None


class UploadView(View):
    """New images with their files."""

    group = "Images"

    @call("upload_image", Scope.WRITE, form=FILE | {TAGS: TAGS_FIELD})
    async def post(
        self,
        on_duplicate: Annotated[
            OnDuplicate,
            Field(
                description="What to do if an image already has the same bytes: `create` another image, `reject` the "
                "upload, or `merge_tags` into that image."
            ),
        ] = OnDuplicate.CREATE,
    ) -> r200[Image] | r201[Image] | r408[Error] | r409[Error] | r413[Error] | r415[Error] | r507[Error]:
        """Create an image from a file.

        The file is the form's field `image`; its file name becomes the image's and the attachment's. Either all of it
        is stored or nothing. If the form's part or the request has a header Repr-Digest or Content-Digest (RFC 9530)
        with a SHA-256, it must be that of the file. With `on_duplicate=merge_tags` the call is safe to repeat after a
        lost answer.

        Status Codes:
            200: The image that already has these bytes, with the tags added (`on_duplicate=merge_tags`).
            201: The image with its image_id; the header Location has its URL.
            409: An image already has these bytes (`on_duplicate=reject`); the header Location has its URL.
            413: The file has more bytes or more pixels than the settings allow.
            415: The file is not a JPEG, PNG, GIF, WebP, AVIF, HEIC, HEIF, TIFF or BMP picture.
            507: The disk is full.
        """
        image, is_new = await self.uploads.create(ImageForm(self.request, self.settings), on_duplicate)
        if not is_new:
            return json_answer(image)
        return json_answer(image, status=201, Location=f"/images/{image.image_id}")
