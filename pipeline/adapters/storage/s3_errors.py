"""Translation of S3's and boto3's errors into `pipeline.errors`."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from boto3.exceptions import Boto3Error, S3UploadFailedError
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointProviderError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)

from pipeline.errors import (
    ArtifactError,
    BucketError,
    ConflictError,
    MissingArtifactError,
    PipelineError,
    UnreachableError,
)

_NO_CREDENTIALS = (
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
_INVALID = (EndpointProviderError, ParamValidationError, ValueError)
"""Errors of botocore, before it sends anything, for a wrong bucket name or endpoint."""
_MISSING = {"404", "NoSuchKey", "NotFound"}
_DENIED = {"401", "403", "AccessDenied", "AllAccessDisabled", "AccountProblem"}
_REJECTED = {
    *("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "TokenRefreshRequired"),
    *("ExpiredToken", "ExpiredTokenException", "InvalidTokenId", "UnrecognizedClientException"),
    "400",  # of a HEAD, whose response has no code: an expired token, or another region
}
_CLOCK = {"RequestTimeTooSkewed", "RequestExpired"}
_REGION = {
    *("PermanentRedirect", "301", "AuthorizationHeaderMalformed"),
    "IllegalLocationConstraintException",
}
_LOST = {"412", "409", "PreconditionFailed", "ConditionalRequestConflict"}


def split_s3(uri: str) -> tuple[str, str]:
    """Bucket and key of an `s3://` URI; ArtifactError for another URI."""
    parts = urlsplit(uri)
    if parts.scheme != "s3" or not parts.netloc:
        raise ArtifactError("not an S3 URI", expected="s3://bucket/key", received=uri)
    return parts.netloc, uri[len(f"s3://{parts.netloc}/") :]


def no_bucket(uri: str) -> BucketError:
    """The error for a URI whose bucket does not exist."""
    return BucketError(
        f"bucket {split_s3(uri)[0]} does not exist",
        expected="an existing bucket in STORE_URI, at AWS_ENDPOINT_URL_S3 if set",
        received=uri,
    )


def _bucket_error(uri: str, code: str) -> BucketError | None:
    """The error for a code that concerns bucket or credentials; None for another code."""
    bucket = split_s3(uri)[0]
    if code == "NoSuchBucket":
        return no_bucket(uri)
    if code in _DENIED:
        return BucketError(
            f"access to bucket {bucket} is denied (403)",
            expected="credentials with s3:ListBucket, s3:GetObject and s3:PutObject "
            "(without ListBucket, S3 also returns 403 for a missing object)",
            received=uri,
        )
    if code in _REJECTED:
        return BucketError(
            f"S3 rejects the credentials for bucket {bucket} ({code})",
            expected="valid keys with their session token, a profile or a role",
            received=uri,
        )
    if code in _CLOCK:
        return BucketError(
            f"S3 rejects requests for bucket {bucket}, because the clock differs ({code})",
            expected="a clock within 15 minutes of the store's: set this machine's by NTP",
            received=uri,
        )
    if code in _REGION:
        return BucketError(
            f"bucket {bucket} is in another region ({code})",
            expected="the bucket's region in AWS_REGION",
            received=uri,
        )
    return None


def _pipeline_error(uri: str, error: ClientError) -> PipelineError:
    """The PipelineError for an S3 error response; UnreachableError for an unknown code."""
    code = error.response.get("Error", {}).get("Code", "")
    if refused := _bucket_error(uri, code):
        return refused
    if code in _MISSING:
        return MissingArtifactError("no such object", received=uri)
    if code in _LOST:
        return ConflictError(f"{uri} was changed by another writer")
    return UnreachableError(f"S3 refused {uri}: {error}")


@contextmanager
def translated(uri: str) -> Iterator[None]:
    """Raise errors of `pipeline.errors`, which name `uri`, for boto3's errors in the block.

    Raises:
        MissingArtifactError: no such object; after a HEAD, whose 404 has no code, or no bucket.
        ConflictError: a condition of a write failed.
        BucketError: the bucket does not exist, or denies access to these credentials.
        UnreachableError: anything else.
    """
    try:
        yield
    except ClientError as error:
        raise _pipeline_error(uri, error) from error
    except S3UploadFailedError as error:  # S3's error response is in its context
        cause = error.__context__
        if isinstance(cause, ClientError):
            raise _pipeline_error(uri, cause) from error
        raise UnreachableError(f"S3 does not respond for {uri}: {error}") from error
    except _NO_CREDENTIALS as error:
        raise BucketError(
            f"no AWS credentials for bucket {split_s3(uri)[0]}: {error}",
            expected="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or a role",
            received=uri,
        ) from error
    except _INVALID as error:
        raise BucketError(
            f"no request for bucket {split_s3(uri)[0]} can be made: {error}".partition("\n")[0],
            expected="STORE_URI=s3://bucket[/prefix]; AWS_ENDPOINT_URL_S3=http://host:port, if set",
            received=uri,
        ) from error
    except RecursionError as error:
        # botocore answers a redirect without a region by a HEAD, which is redirected again.
        raise BucketError(
            f"the S3 endpoint redirects every request for bucket {split_s3(uri)[0]}",
            expected="the address to which it redirects, such as https, in AWS_ENDPOINT_URL_S3",
            received=uri,
        ) from error
    except (BotoCoreError, Boto3Error) as error:
        raise UnreachableError(f"S3 does not respond for {uri}: {error}") from error
