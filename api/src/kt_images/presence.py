"""Whether what the service needs is there: a line in the log when it goes and one when it is back.

However many requests notice it: each of them is answered with an error of its own.
"""

import logging
import time

from kt_images import metrics

logger = logging.getLogger(__name__)

# Without a failure, until it is said to be back: while some can reach it and some cannot, it is not.
SETTLED_SECONDS = 1.0


class Presence:
    """Of a thing that the log and the metrics know by this `name`. Safe to use from threads."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._up = metrics.UP.labels(name)
        self._up.set(1)
        self._missed: float | None = None  # when it was last looked for in vain

    @property
    def is_missed(self) -> bool:
        """Whether it was not there when somebody looked for it last."""
        return self._missed is not None

    def missed(self, why: str) -> None:
        """Note that it could not be reached."""
        if self._missed is None:
            logger.warning("The %s cannot be reached: %s", self._name, why)
            self._up.set(0)
        self._missed = time.monotonic()

    def met(self) -> None:
        """Note that it could be reached. Costs nothing while it is there."""
        if self._missed is not None and time.monotonic() - self._missed >= SETTLED_SECONDS:
            self._missed = None
            logger.warning("The %s can be reached again", self._name)
            self._up.set(1)
