"""S3: signed URLs and forms by which a client sends and fetches files itself.

Signing is AWS Signature Version 4 in the standard library: importing boto3 costs 0.4 s and
37 MB, and its signature is the same (tests hold it against botocore's).
https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
"""

import hashlib
import hmac
import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from flask import Flask, current_app

from service.errors import Unavailable
from service.settings import Settings

_ALGORITHM = "AWS4-HMAC-SHA256"


class Form(NamedTuple):
    """A form that a client posts as multipart/form-data, its file last."""

    url: str
    fields: dict[str, str]


class Storage:
    """A bucket. Nothing here talks to it: signatures are worked out, not asked for."""

    def __init__(
        self, bucket: str, region: str, key_id: str, secret: str, endpoint: str | None = None
    ) -> None:
        self.bucket = bucket
        self.region = region
        self._key_id = key_id
        self._secret = secret
        # AWS wants the bucket in the host, where its certificate has no room for a dot; other
        # servers, which have one name, want it in the path.
        host = f"s3.{region}.amazonaws.com"
        in_path = endpoint or "." in bucket
        self.url = (
            f"{endpoint or f'https://{host}'}/{bucket}" if in_path else f"https://{bucket}.{host}"
        )

    def upload_form(
        self, key: str, content_type: str, size: int, lifetime: timedelta, now: datetime
    ) -> Form:
        """A form for one file of exactly this type and size in bytes."""
        stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        fields = {
            "key": key,
            "Content-Type": content_type,
            "x-amz-algorithm": _ALGORITHM,
            "x-amz-credential": f"{self._key_id}/{self._scope(stamp)}",
            "x-amz-date": stamp,
        }
        policy = {
            "expiration": (now.astimezone(UTC) + lifetime).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "conditions": [
                {"bucket": self.bucket},
                *({name: value} for name, value in fields.items()),
                ["content-length-range", size, size],
            ],
        }
        fields["policy"] = b64encode(json.dumps(policy).encode()).decode()
        fields["x-amz-signature"] = self._sign(fields["policy"], stamp)
        return Form(f"{self.url}/", fields)

    def download_url(self, key: str, filename: str, lifetime: timedelta, now: datetime) -> str:
        """A URL that gives the file as an attachment, for so long."""
        stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        disposition = f"attachment; filename*=UTF-8''{quote(filename, safe='')}"
        query = {
            "X-Amz-Algorithm": _ALGORITHM,
            "X-Amz-Credential": f"{self._key_id}/{self._scope(stamp)}",
            "X-Amz-Date": stamp,
            "X-Amz-Expires": str(int(lifetime.total_seconds())),
            "X-Amz-SignedHeaders": "host",
            "response-content-disposition": disposition,
        }
        url = urlsplit(f"{self.url}/{quote(key)}")
        canonical = "&".join(
            f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in sorted(query.items())
        )
        request = f"GET\n{url.path}\n{canonical}\nhost:{url.netloc}\n\nhost\nUNSIGNED-PAYLOAD"
        digest = hashlib.sha256(request.encode()).hexdigest()
        to_sign = f"{_ALGORITHM}\n{stamp}\n{self._scope(stamp)}\n{digest}"
        return f"{url.geturl()}?{canonical}&X-Amz-Signature={self._sign(to_sign, stamp)}"

    def _scope(self, stamp: str) -> str:
        return f"{stamp[:8]}/{self.region}/s3/aws4_request"

    def _sign(self, text: str, stamp: str) -> str:
        key = f"AWS4{self._secret}".encode()
        for part in (stamp[:8], self.region, "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), hashlib.sha256)
        return hmac.digest(key, text.encode(), hashlib.sha256).hex()


def storage() -> Storage:
    """The bucket of the current app. Raises Unavailable if there is none."""
    if (found := current_app.extensions["storage"]) is None:
        raise Unavailable("uploads are not configured", retry_after=3600)
    return found  # type: ignore[no-any-return]


def init_app(app: Flask, settings: Settings) -> None:
    app.extensions["storage"] = None
    if settings.s3_bucket and settings.aws_access_key_id and settings.aws_secret_access_key:
        app.extensions["storage"] = Storage(
            settings.s3_bucket,
            settings.s3_region,
            settings.aws_access_key_id,
            settings.aws_secret_access_key.get_secret_value(),
            settings.s3_endpoint_url,
        )
