"""/images/upload: an image and its file in one call."""

from typing import Annotated

from aiohttp import web
from aiohttp_pydantic.oas.typing import r200, r201, r408, r409, r413, r415, r507
from pydantic import Field, ValidationError

from kt_images.base_settings import Settings
from kt_images.errors import InvalidRequestError
from kt_images.http.forms import Form
from kt_images.http.problems import ValidationFailedError
from kt_images.models import Error, Image, NewImage, OnDuplicate
from kt_images.views.base import View, json_answer

TAGS = "tags"


class ImageForm(Form):
    """A form that makes a new image out of its file and its tags."""

    def __init__(self, request: web.Request, settings: Settings) -> None:
        super().__init__(request, settings, texts=[TAGS])

    def image(self) -> NewImage:
        """Return the new image; known once `file()` was read. Raises InvalidRequestError."""
        if self.filename is None:
            raise InvalidRequestError("The form's part with the file has no filename")
        try:
            return NewImage.model_validate({"filename": self.filename, "tags": self.texts[TAGS]})
        except ValidationError as error:
            raise ValidationFailedError.of(error, "body") from None


class UploadView(View):
    """A new image with its file."""

    async def post(
        self,
        on_duplicate: Annotated[
            OnDuplicate, Field(description="What to do when an image has the same bytes already.")
        ] = OnDuplicate.CREATE,
    ) -> r200[Image] | r201[Image] | r408[Error] | r409[Error] | r413[Error] | r415[Error] | r507[Error]:
        """Store an image and its file, the form's part `image`, in one step; all of it or nothing.

        The part's own file name is the image's and the attachment's. The file's bytes are checked against the SHA-256
        of a header Repr-Digest or Content-Digest (RFC 9530), sent with the part or with the request; either way it is
        that of the file. With `on_duplicate=merge_tags` the call is safe to repeat after a lost answer.

        Status Codes:
            200: The image that has these bytes already, with the tags added to it.
            201: The image with its image_id.
            409: An image has these bytes already; the header Location names it.
            413: The file has more bytes or more pixels than the settings allow.
            415: It is no picture of a supported type.
            507: The disk is full.
        """
        image, is_new = await self.uploads.create(ImageForm(self.request, self.settings), on_duplicate)
        if not is_new:
            return json_answer(image)
        return json_answer(image, status=201, Location=f"/images/{image.image_id}")
