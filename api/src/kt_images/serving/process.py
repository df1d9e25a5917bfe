"""What every process that serves does first."""

import logging
import resource

# Each client, database session and open file is one; what the system gives by default is soon used up.
DESCRIPTORS = 65536


def prepare() -> None:
    """Log to stderr; raise the limit of descriptors."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
