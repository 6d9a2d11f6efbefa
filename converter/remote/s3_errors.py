"""Errors of S3 and botocore, mapped: each code once, with what to do about it and whether a retry may help.

Answers are mapped by their code, else by their status; other errors by their class. The server's own message is never
shown: it may name accounts, users and keys.
"""

from __future__ import annotations

import contextlib
import re
from typing import NamedTuple

from botocore import exceptions as boto
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from botocore.session import Session

from converter.errors import DestinationError, TransientError, redact
from converter.jobs.sections.servers import BucketOptions

FOREIGN: tuple[type[Exception], ...] = (ClientError, BotoCoreError, ResponseParserError)
"""What calls of botocore raise."""

NO_UPLOAD = "NoSuchUpload"
NOT_THERE = frozenset({"404", "NoSuchKey", "NotFound"})
_DENIED = frozenset({"403", "AccessDenied", "Forbidden"})
_UNSEEN = _DENIED | {"405", "501", "MethodNotAllowed", "NotImplemented"}


class _Fault(NamedTuple):
    code: str
    why: str
    hint: str
    transient: bool = False


_AGAIN = "Try again later, with the same command and --resume."
_BUSY = _Fault("E-S3-BUSY", "the server is too busy", f"{_AGAIN} Fewer output.uploads help as well.", transient=True)
_FAILED = _Fault("E-S3-FAILED", "the server failed", _AGAIN, transient=True)
_BROKEN = _Fault("E-S3-CONNECTION", "the connection broke", _AGAIN, transient=True)
_SLOW = _Fault(
    "E-S3-TIMEOUT", "the server did not answer in time", f"{_AGAIN} s3.timeout is how long to wait.", transient=True
)
_DAMAGED = _Fault("E-S3-DAMAGED", "what arrived is not what was sent", "It is sent again.", transient=True)
_EXPIRED = _Fault("E-S3-EXPIRED", "the credentials have expired", "Renew them, and run the same command with --resume.")
_WRONG = _Fault(
    "E-S3-CREDENTIALS",
    "the credentials are wrong",
    "Look at AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_PROFILE, or ~/.aws.",
)
_REGION = _Fault("E-S3-REGION", "the bucket is in another region", "Set s3.region to the bucket's region.")
_NO_BUCKET = _Fault(
    "E-S3-BUCKET",
    "there is no such bucket",
    "Check its name (in output.to or report.dir, say), and s3.endpoint_url.",
)
_KMS = _Fault(
    "E-S3-KMS", "the KMS key cannot be used", "Check s3.kms_key_id, and that you may use it: kms:GenerateDataKey."
)
_FULL = _Fault("E-S3-FULL", "the server has no space left", "Free some, or write elsewhere.")
_LOST = _Fault(
    "E-S3-LOST", "what was sent is no longer there", "Run the same command with --resume: the part is sent again."
)
_TAKEN = _Fault("E-S3-TAKEN", "something is there already", "Nothing is ever overwritten: use another timestamp (N2).")
_UNABLE = _Fault(
    "E-S3-UNSUPPORTED",
    "the server does not support this request",
    "Leave s3.acl, s3.sse and s3.storage_class out, or check s3.endpoint_url.",
)

_CODES: dict[str, _Fault] = {
    code: fault
    for codes, fault in {
        ("SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "BandwidthLimitExceeded"): _BUSY,
        ("TooManyRequests", "TooManyRequestsException", "RequestThrottled", "429"): _BUSY,
        ("InternalError", "ServiceUnavailable", "OperationAborted", "ConditionalRequestConflict"): _FAILED,
        ("RequestTimeout", "RequestTimeoutException", "408"): _SLOW,
        ("BadDigest", "InvalidDigest", "IncompleteBody", "XAmzContentSHA256Mismatch"): _DAMAGED,
        ("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"): _EXPIRED,
        ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "InvalidClientTokenId"): _WRONG,
        ("UnrecognizedClientException", "InvalidSecurity", "NotSignedUp", "401"): _WRONG,
        ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301"): _REGION,
        ("NoSuchBucket", "InvalidBucketName"): _NO_BUCKET,
        ("XMinioStorageFull", "QuotaExceeded", "507"): _FULL,
        ("PreconditionFailed", "412"): _TAKEN,
        (NO_UPLOAD, "InvalidPart", "InvalidPartOrder", "EntityTooSmall"): _LOST,
        ("NotImplemented", "MethodNotAllowed", "405", "501"): _UNABLE,
    }.items()
    for code in codes
} | {
    "RequestTimeTooSkewed": _Fault("E-S3-CLOCK", "this machine's clock is wrong", "Set the clock, and run again."),
    "AccessControlListNotSupported": _Fault("E-S3-ACL", "the bucket does not accept ACLs", "Leave s3.acl out."),
    "InvalidStorageClass": _Fault(
        "E-S3-STORAGE-CLASS", "the bucket does not support the storage class", "Change s3.storage_class."
    ),
    "InvalidEncryptionAlgorithmError": _Fault(
        "E-S3-ENCRYPTION", "the bucket does not support the encryption", "Change s3.sse."
    ),
    "KeyTooLongError": _Fault("E-S3-KEY-LENGTH", "the key is too long", "Shorten the prefix in output.to."),
    "400": _Fault(
        "E-S3-REQUEST", "the request was refused", "Have the credentials expired? Is s3.region the bucket's region?"
    ),
}

_CLASSES: list[tuple[tuple[type[Exception], ...], _Fault]] = [
    (
        (boto.NoCredentialsError,),
        _Fault(
            "E-S3-NO-CREDENTIALS",
            "no credentials were found",
            "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE.",
        ),
    ),
    (
        (boto.SSOError, boto.LoginError, boto.TokenRetrievalError, boto.NoAuthTokenError),
        _Fault("E-S3-LOGIN", "you are not logged in, or no longer", "Log in again, as by: aws sso login."),
    ),
    (
        (
            boto.PartialCredentialsError,
            boto.CredentialRetrievalError,
            boto.MetadataRetrievalError,
            boto.RefreshWithMFAUnsupportedError,
            boto.UnknownCredentialError,
        ),
        _Fault(
            "E-S3-CREDENTIALS",
            "the credentials could not be loaded",
            "Look at the profile in ~/.aws, and at the variables AWS_…",
        ),
    ),
    (
        (boto.ConfigParseError, boto.ConfigNotFound, boto.InvalidConfigError),
        _Fault("E-S3-SETTINGS", "the settings of AWS are wrong", "Look at AWS_PROFILE and ~/.aws/config."),
    ),
    (
        (boto.SSLError,),
        _Fault(
            "E-S3-CERTIFICATE",
            "the server's certificate is not trusted",
            "Where it should be, set AWS_CA_BUNDLE to its authority's.",
        ),
    ),
    ((boto.ReadTimeoutError, boto.ConnectTimeoutError), _SLOW),
    (
        (boto.EndpointConnectionError, boto.ProxyConnectionError),
        _Fault(
            "E-S3-UNREACHABLE",
            "the server cannot be reached",
            f"Check s3.endpoint_url, s3.region and the network. {_AGAIN}",
            True,
        ),
    ),
    ((boto.ConnectionError, boto.HTTPClientError), _BROKEN),
    ((ResponseParserError,), _Fault("E-S3-MALFORMED", "the answer is not one of S3", "Check s3.endpoint_url.")),
]
_OTHERWISE = _Fault("E-S3-OTHER", "the request failed", "Check s3.endpoint_url and s3.region.")

_OF_CREDENTIALS = {"E-S3-CREDENTIALS", "E-S3-NO-CREDENTIALS", "E-S3-SETTINGS"}  # those of the profile, if one is named

_PERMISSIONS = {
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "DeleteObjects": "s3:DeleteObject",
    "GetObject": "s3:GetObject",
    "HeadObject": "s3:GetObject",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "ListObjectsV2": "s3:ListBucket",
    "ListParts": "s3:ListMultipartUploadParts",
}


def code_of(error: Exception) -> str:
    """Return the code of an answer; empty for other errors."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def is_unseen(error: ClientError) -> bool:
    """Return whether the request is not allowed, or not supported."""
    return code_of(error) in _UNSEEN


def map_error(error: Exception, what: str, url: str, settings: BucketOptions, section: str) -> DestinationError:
    """Map an error of botocore: what could not be done with which URL, and why.

    `section` is that of the job file that has the settings: its keys are named in the hint.
    """
    fault = _fault_of(error, settings)
    if settings.profile and fault.code in _OF_CREDENTIALS:
        fault = fault._replace(
            hint=f"Look at the profile '{redact(settings.profile)}' in ~/.aws, which s3.profile names."
        )
    answer = f" ({redact(code_of(error))})" if code_of(error) else ""
    kind = TransientError if fault.transient else DestinationError
    why, hint = (_of_section(text, section) for text in (fault.why, fault.hint))
    return kind(fault.code, f"Cannot {what} '{url}': {why}{answer}.", hint)


def _of_section(text: str, section: str) -> str:
    """Return a text with the keys of a section instead of those of `[s3]`."""
    return re.sub(r"(?<![\w.])s3(?=\.[a-z]|\])", lambda _: section, text)


def fault_code(error: Exception, settings: BucketOptions) -> str:
    """Return our code of an error of botocore."""
    return _fault_of(error, settings).code


def _fault_of(error: Exception, settings: BucketOptions) -> _Fault:
    if isinstance(error, ClientError):
        return _fault_of_answer(error, settings)
    return _no_profile(error, settings) if isinstance(error, boto.ProfileNotFound) else _fault_of_class(error)


def _fault_of_answer(error: ClientError, settings: BucketOptions) -> _Fault:
    code, operation = code_of(error), str(error.operation_name)
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if operation.startswith("AssumeRole"):
        known = _CODES.get(code, _Fault("E-S3-ROLE", "the role cannot be assumed", ""))
        return known._replace(hint="Check s3.role_arn, and that you may assume it: sts:AssumeRole.")
    if code.startswith("KMS.") or (code in _DENIED and "kms:" in str(error)):
        return _KMS
    if code in _DENIED:
        return _Fault("E-S3-DENIED", "permission was denied", f"Ask for {_permission(operation, settings)}.")
    if code in _CODES:
        return _CODES[code]
    if status >= 500:
        return _FAILED
    return _Fault(
        "E-S3-REQUEST",
        "the request was refused",
        "Check the settings in [s3], above all s3.acl, s3.sse and s3.storage_class.",
    )


def _permission(operation: str, settings: BucketOptions) -> str:
    needed = _PERMISSIONS.get(operation, "s3:PutObject")
    if needed == "s3:PutObject" and settings.acl:
        needed += " and s3:PutObjectAcl, or leave s3.acl out"
    if needed.startswith("s3:PutObject") and settings.kms_key_id:
        needed += "; for s3.kms_key_id also for kms:GenerateDataKey and kms:Decrypt"
    return needed


def _no_profile(error: boto.ProfileNotFound, settings: BucketOptions) -> _Fault:
    """Return the fault that a profile is missing, with those that there are."""
    name, known = str(error.kwargs.get("profile", "")), []
    with contextlib.suppress(BotoCoreError):  # the error is that of the missing profile; others would only be a hint
        known = Session().available_profiles
    named_by = "s3.profile" if settings.profile else "AWS_PROFILE"
    others = ", ".join(map(redact, known))
    leave_out = "Leave s3.profile out" if settings.profile else "Unset AWS_PROFILE"
    use = f"Set {named_by} to one that there is ({others})" if others else leave_out
    return _Fault(
        "E-S3-PROFILE",
        f"there is no AWS profile '{redact(name)}', which {named_by} names",
        f"{use}, or add this one: aws configure --profile {redact(name)}.",
    )


def _fault_of_class(error: Exception) -> _Fault:
    return next((fault for classes, fault in _CLASSES if isinstance(error, classes)), _OTHERWISE)
