"""What each of several processes may use of what one process would have."""


def share(whole: int, workers: int, least: int = 1) -> int:
    """Return an equal part of the whole, rounded up, and never less than `least`."""
    return max(least, -(-whole // workers))
