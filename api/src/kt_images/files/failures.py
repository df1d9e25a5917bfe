"""What the disk reports, and what that means to the layers above."""

import errno

from kt_images.errors import DiskFullError, KtImagesError, UnavailableError

FULL = {errno.ENOSPC, errno.EDQUOT}
# Not mounted any more, read-only, or somebody else's.
GONE = {errno.ENOENT, errno.ENOTDIR, errno.EROFS, errno.EACCES, errno.EPERM, errno.ESTALE, errno.ENOTCONN, errno.ENODEV}
# Every descriptor, process or page is in use: a matter of moments.
EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM}


def translate(error: Exception) -> KtImagesError | None:
    """Return the error that a failing system call stands for, None for one that nobody can expect."""
    match error:
        case OSError(errno=number) if number in FULL:
            return DiskFullError()
        case OSError(errno=number) if number in GONE:
            return UnavailableError("The store cannot be reached; please try again")
        case OSError(errno=number) if number in EXHAUSTED:
            return UnavailableError("The service is busy; please try again")
    return None


def reason(error: KtImagesError) -> str:
    """Return the system's own words, which name no path: for logs."""
    return (isinstance(error.__cause__, OSError) and error.__cause__.strerror) or ""
