"""How many images a chunk of a list holds.

What is kept in memory for a client must not depend on what others have stored: images with dozens of long tags come in
smaller chunks.
"""

from itertools import accumulate

# The length of a chunk at most; chunks of many images may be as long as such images usually are.
MOST_BYTES = 512 * 1024
MOST_BYTES_PER_IMAGE = 256
LONGEST_CHARACTER = 4  # bytes, in UTF-8


class ChunkSize:
    """The size to ask for, in images: `most`; less after a chunk that was too long, then doubled step by step."""

    def __init__(self, most: int) -> None:
        self._most = self.images = most
        self._room = max(MOST_BYTES, most * MOST_BYTES_PER_IMAGE)

    def fitting(self, documents: list[str]) -> list[str]:
        """Return the first documents that fit into one chunk, at least one; ask for no more from then on."""
        # Joining takes half the time of summing the lengths.
        if LONGEST_CHARACTER * len("".join(documents)) <= self._room:
            return documents
        lengths = accumulate(len(document.encode()) for document in documents)
        fitting = documents[: max(1, sum(length <= self._room for length in lengths))]
        if len(fitting) < len(documents):
            self.images = len(fitting)
        return fitting

    def grow(self, length: int) -> None:
        """Ask for more after a chunk of `length` bytes that left half of the room empty."""
        if 2 * length < self._room:
            self.images = min(2 * self.images, self._most)
