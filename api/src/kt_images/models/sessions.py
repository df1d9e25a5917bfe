"""Sessions: what is asked of them, and what is told."""

from datetime import datetime

from pydantic import BaseModel, Field

from kt_images.base_settings import Access
from kt_images.models.bodies import Body
from kt_images.models.scopes import Scope

# Characters of a key with white space around it, as it may be pasted.
LONGEST_KEY = 200


class NewSession(Body):
    """A session to be opened."""

    key: str = Field(
        max_length=LONGEST_KEY, description="The key that it is opened with.", examples=["kti_0aZ9Qw3x_…_…"]
    )


class SessionState(BaseModel):
    """Who calls, and what they may do."""

    access: Access = Field(description="Who needs a key: nobody, who changes something, or everybody.")
    signed_in: bool = Field(description="Whether the caller has a session.")
    key_id: str | None = Field(description="The id of the key that is used; null: none is.")
    name: str | None = Field(description="The name of that key.")
    scopes: list[Scope] = Field(description="What may be done, with that key and without.")
    expires_at: datetime | None = Field(description="When the session ends, or without one the key; null: never.")
