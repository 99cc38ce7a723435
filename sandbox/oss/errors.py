"""OSS's errors: status, code, message and EC, as the vendor documents them.

responses.py sends these errors (XML body, headers of a HEAD answer). An EC of "" means that no
documentation of the error was found.
"""

from __future__ import annotations

from collections.abc import Mapping

from ops import client_signatures
from sandbox.refusals import Refusal


class OssError(Exception):
    """An error answer.

    `details` are further elements of the error's XML (see xml.render). `refusal` is for the
    sandbox's user and not part of the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        ec: str = "",
        *,
        details: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        refusal: Refusal | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.ec = ec
        self.details = dict(details or {})
        self.headers = dict(headers or {})
        self.refusal = refusal


def access_denied(message: str, ec: str = "0003-00000001", **details: str) -> OssError:
    """Make the error for a request that has a known identity, or no signature."""
    return OssError(403, "AccessDenied", message, ec, details=details)


def invalid_argument(message: str, name: str = "", value: str = "", ec: str = "") -> OssError:
    """Make the error for a parameter or header, which `name` and `value` quote."""
    details = {"ArgumentName": name, "ArgumentValue": value} if name else {}
    return OssError(400, "InvalidArgument", message, ec, details=details)


def v1_refused(region: str) -> OssError:
    """Make the error for signature V1. The message says how to change to V4.

    No documentation says what OSS answers when it refuses V1 (assumption 24). So the sandbox has
    its own status, code and text.
    """
    message = (
        "Signature V1 is refused here, as it is for new accounts and new buckets. Sign with V4:",
        *client_signatures.lines(region),
        "Others: see the vendor's guide from V1 to V4. To simulate an old bucket, which accepts "
        "V1, start `make run SIGNATURE_V1=1`. (This answer is the sandbox's own.)",
    )
    return OssError(403, "SignatureV1Refused", "\n".join(message))


def bad_image(message: str, ec: str = "") -> OssError:
    """Make the error for an object that is not an image or has an unsupported format."""
    return OssError(400, "BadRequest", message, ec)


def image_too_large(message: str, ec: str) -> OssError:
    """Make the error for an image or a result that exceeds a limit."""
    return OssError(400, "ImageTooLarge", message, ec)


def malformed_xml(reason: str) -> OssError:
    """Make the error for a request body that is wrong. `reason` says what is wrong with the
    body."""
    message = "The XML you provided was not well-formed or did not validate against our schema"
    return OssError(400, "MalformedXML", f"{message}: {reason}.")


def not_implemented(what: str) -> OssError:
    """Make the error for a feature that the real OSS has and the sandbox lacks.

    The status is 400 as in OSS's own example (EC 0017-00000245). After a 501, SDKs would retry.
    """
    return OssError(400, "NotImplemented", f"The sandbox does not implement {what}.")


def invalid_bucket_name(bucket: str) -> OssError:
    """Make the error for a name that no bucket can have."""
    message = "The specified bucket is not valid."
    return OssError(400, "InvalidBucketName", message, details={"BucketName": bucket})


def file_already_exists() -> OssError:
    """Make the error for a write that x-oss-forbid-overwrite or a rule of the bucket forbids."""
    message = "The object you specified already exists and can not be overwritten."
    return OssError(409, "FileAlreadyExists", message)


def no_such_bucket(bucket: str) -> OssError:
    """Make the error for a bucket that does not exist."""
    return OssError(
        404,
        "NoSuchBucket",
        "The specified bucket does not exist.",
        "0015-00000101",
        details={"BucketName": bucket},
    )


def no_such_key(key: str) -> OssError:
    """Make the error for an object that does not exist."""
    message = "The specified key does not exist."
    return OssError(404, "NoSuchKey", message, "0026-00000001", details={"Key": key})


def no_such_upload(upload_id: str) -> OssError:
    """Make the error for a multipart upload that does not exist, or no longer exists.

    UploadPart and UploadPartCopy have their own EC.
    """
    message = (
        "The specified upload does not exist. The upload ID may be invalid, "
        "or the upload may have been aborted or completed."
    )
    return OssError(404, "NoSuchUpload", message, "0042-00000002", details={"UploadId": upload_id})
