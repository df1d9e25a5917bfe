"""What every process that serves does first."""

import resource

from kt_images import logs

# Each client, database session and open file is one; what the system gives by default is soon used up.
DESCRIPTORS = 65536


def prepare(access_log: str) -> None:
    """Begin to log; raise the limit of descriptors."""
    logs.begin(access_log)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
