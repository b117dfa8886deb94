"""Secrets of AWS Secrets Manager: a secret that is an object of JSON, NAME and value of each.

botocore and not boto3, which adds nothing to one call; nor our own signature, as for uploads: the
credentials of ECS, EKS, instances and profiles are had in a dozen ways, which botocore keeps up
with. https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    CredentialRetrievalError,
    HTTPClientError,
    MetadataRetrievalError,
    NoCredentialsError,
    NoRegionError,
)
from botocore.parsers import ResponseParserError
from botocore.session import Session

from service.stores import Denied, Store, StoreError, Unreachable, parsed

# Tried again by who calls us, for all kinds of stores alike.
_LIMITS = Config(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 1})
_UNREACHABLE = (
    ConnectionError,
    HTTPClientError,
    CredentialRetrievalError,
    MetadataRetrievalError,
)
_TRANSIENT = ("ThrottlingException", "InternalServiceError", "RequestLimitExceeded")
_MISSING = ("ResourceNotFoundException", "InvalidRequestException")  # the second: it is deleted
_DENIED = "is its role allowed secretsmanager:GetSecretValue, and kms:Decrypt of a key of yours?"
_FOREIGN = "its answer is none of Secrets Manager: is there a proxy in between?"
# What our settings call so too; others (AWS_PROFILE, …) are the environment's alone.
_KEYS = {
    "AWS_ACCESS_KEY_ID": "aws_access_key_id",
    "AWS_SECRET_ACCESS_KEY": "aws_secret_access_key",
    "AWS_SESSION_TOKEN": "aws_session_token",
}


def store(name: str, given: Mapping[str, str]) -> Store:
    """The secret of this name or ARN, which tells its region too."""
    region = given.get("AWS_REGION") or given.get("AWS_DEFAULT_REGION")
    if name.startswith("arn:"):
        region = name.split(":")[3]
    where = f"aws-secrets-manager://{name}"
    keys = {_KEYS[each]: given[each] for each in _KEYS if given.get(each)}
    return Store(where, partial(_read, name, region, keys), ("aws", name, region))


def _read(name: str, region: str | None, keys: Mapping[str, str]) -> Mapping[str, Any]:
    """What the secret holds. Raises StoreError."""
    try:
        client = Session().create_client(
            "secretsmanager", region_name=region, config=_LIMITS, **keys
        )
        found = client.get_secret_value(SecretId=name)
    except NoRegionError:
        raise StoreError("is needed, or an ARN in SECRETS_FROM", "AWS_REGION") from None
    except NoCredentialsError:
        raise StoreError(
            "there are no credentials of AWS: no role of a task, pod or instance, and no variables"
        ) from None
    except ClientError as error:
        raise _refusal(error) from None
    except _UNREACHABLE as error:
        raise Unreachable(str(error)) from None
    except BotoCoreError as error:
        raise StoreError(str(error)) from None
    except ResponseParserError:
        raise StoreError(_FOREIGN) from None
    if "SecretBinary" in found:
        raise StoreError("it is binary: an object of JSON is wanted")
    if "SecretString" not in found:
        raise StoreError(_FOREIGN)
    return parsed(found["SecretString"])


def _refusal(error: ClientError) -> StoreError:
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    said = " ".join(f"{code}: {message}".split())[:400]
    if code in _TRANSIENT or status >= 500:
        return Unreachable(said)
    if code in _MISSING:
        return StoreError(said)
    return Denied(f"{said}; {_DENIED}" if "AccessDenied" in code or status == 403 else said)
