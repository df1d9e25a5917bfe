"""/tags/rename: one tag becomes another, on all images that have it."""

from aiohttp_pydantic.oas.typing import r200, r404, r409

from kt_images.database import bulk, tags
from kt_images.errors import TagExistsError, TagNotFoundError
from kt_images.models.errors import Error
from kt_images.models.images import Selection
from kt_images.models.many import DryRun, Outcome
from kt_images.models.scopes import Scope
from kt_images.models.tags import TagRename
from kt_images.views import bulk as many
from kt_images.views.base import View
from kt_images.views.bulk import DryRunParameter, Expected
from kt_images.views.call import OUTCOMES, call


class TagRenameView(View):
    """New names for tags."""

    group = "Tags"

    @call(
        "rename_tag",
        Scope.WRITE,
        answers={200: OUTCOMES},
        examples={
            "A misspelt tag": {"tag": "nikkon", "to": "nikon", "merge": True},
            "A new name": {"tag": "holidays", "to": "travel"},
        },
    )
    async def post(
        self, rename: TagRename, dry_run: DryRunParameter = None, expected: Expected = None
    ) -> r200[Outcome | DryRun] | r404[Error] | r409[Error]:
        """Rename a tag, or merge it into another.

        Images are changed a thousand at a time; if it breaks off, the same call with `merge` finishes the work. The new
        name stands behind the image's other tags. With `Accept: application/x-ndjson` there is a line after each
        thousand.

        Status Codes:
            200: What was done, once all of it is; with dry_run, what would be.
            409: The new name is a tag already and `merge` is not true, or another number of images than `expected`
                match.
        """
        if not await tags.count(self.db, rename.tag):
            raise TagNotFoundError
        if not rename.merge and await tags.count(self.db, rename.to):
            raise TagExistsError
        change = bulk.retagging([rename.to], [rename.tag])
        selection = Selection(tags_all=[rename.tag])
        return await many.run(self, selection, change, dry_run=dry_run is not None, expected=expected)
