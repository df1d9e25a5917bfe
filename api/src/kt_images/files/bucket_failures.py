"""What a bucket and its client report, and what that means to the layers above.

The client's texts name the endpoint, and quote the server: they are for logs alone.
"""

import re

from obstore.exceptions import BaseError

from kt_images.errors import DiskFullError, KtImagesError, UnavailableError

# The error's code in the body of an answer; an answer to HEAD has none.
CODE = re.compile(r"<Code>(\w+)</Code>")
# The names of several servers for the same: an account or a disk is full.
FULL = {"QuotaExceeded", "StorageQuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "StorageFull"}
HTTP_507 = "status code: 507"
GONE = "NoSuchBucket"
SHORTER = "InvalidRange"

# For the log, what to do about it.
HINTS = {
    GONE: "the bucket does not exist",
    "InvalidAccessKeyId": "the bucket's server does not know the access key",
    "SignatureDoesNotMatch": "the secret key is not the one of the access key",
    "AccessDenied": "the credentials lack a permission",
    "ExpiredToken": "the session token has expired",
    "RequestTimeTooSkewed": "the clock of this machine and that of the bucket's server are too far apart: set them",
    "AuthorizationHeaderMalformed": "the region is probably not the bucket's: see the setting --store_region",
    "PermanentRedirect": "the bucket is in another region: see the settings --store_region and --store_endpoint",
}
# What does not go away by waiting.
LASTING = set(HINTS) - {"RequestTimeTooSkewed", "ExpiredToken"}

# Of an answer: all but its code says the same again.
BODY = re.compile("<.*", re.DOTALL)
MOST_OF_A_TEXT = 300
# What was behind a request that could not be sent stands in the client's listing of its own errors only.
BEHIND = re.compile(r'InvalidCertificate\(\s*(?:\w+\(\s*)*(\w+)|(?:message|error): "([^"]+)"|\b(TimedOut)\b')


class MissingError(KtImagesError):
    """There is no such object, or it is shorter than the part that was asked for; or its bucket is gone."""

    sentence = "The bucket has no such object"


def translate(error: Exception) -> KtImagesError | None:
    """Return the error that a failing call of the client stands for, None for one that nobody can expect."""
    if not isinstance(error, BaseError | FileNotFoundError | PermissionError):
        return None
    if isinstance(error, OSError) and error.errno is not None:  # of the local file that is being sent
        return None
    code = code_of(error)
    if code in FULL or HTTP_507 in str(error):
        return DiskFullError()
    if (isinstance(error, FileNotFoundError) and code != GONE) or code == SHORTER:
        return MissingError()
    return UnavailableError("The store cannot be reached; please try again")


def code_of(error: BaseException | None) -> str:
    """Return the server's code of the failure, empty if it gave none."""
    found = CODE.search(str(error))
    return found[1] if found else ""


def reason(error: KtImagesError) -> str:
    """Return what happened, in the words of the client and the server: for logs."""
    if not error.__cause__:
        return str(error)
    first, _, rest = str(error.__cause__).partition("\n\nDebug source")
    text = " ".join(BODY.sub("", first).split())[:MOST_OF_A_TEXT]
    if code := code_of(error.__cause__):
        text += f" {code}"
    for behind in BEHIND.finditer(rest):
        text += f": {behind[behind.lastindex or 0]}"
    hint = HINTS.get(code)
    return f"{hint} ({text})" if hint else text


def is_lasting(error: KtImagesError) -> bool:
    """Return whether somebody has to change the settings or the bucket before it can be reached."""
    return code_of(error.__cause__) in LASTING
