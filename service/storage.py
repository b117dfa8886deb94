"""S3: signed URLs and forms by which a client sends and fetches files itself.

Signing is AWS Signature Version 4 in the standard library: importing boto3 costs 0.4 s and
37 MB, and its signature is the same (tests hold it against botocore's).
https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
"""

import hashlib
import hmac
import http.client
import json
import shutil
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, NamedTuple
from urllib.parse import quote, urlsplit

from flask import Flask, current_app
from pydantic import SecretStr

from service.environment import ROOT
from service.errors import Unavailable
from service.settings import Settings

_ALGORITHM = "AWS4-HMAC-SHA256"
TIMEOUT = 30  # seconds that the server may be silent
LIFETIME = timedelta(hours=1)  # of a signature that only we use
FOLDER = ROOT / ".dev" / "files"


class StorageError(Exception):
    """The server refused a file; the message has its status and the begin of its words."""


class Form(NamedTuple):
    """A form that a client posts as multipart/form-data, its file last."""

    url: str
    fields: dict[str, str]


class Storage:
    """A bucket. `put` and `delete` talk to it; signatures are worked out, not asked for."""

    def __init__(
        self,
        bucket: str,
        region: str,
        key_id: SecretStr,
        secret: SecretStr,
        endpoint: str | None = None,
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
            "x-amz-credential": self._credential(stamp),
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
        disposition = f"attachment; filename*=UTF-8''{quote(filename, safe='')}"
        return self._signed(
            "GET", key, lifetime, now, {"response-content-disposition": disposition}
        )

    def put(self, key: str, file: BinaryIO, content_type: str) -> None:
        """Send a file of ours, from its position on. Raises OSError or StorageError."""
        start = file.tell()
        size = file.seek(0, 2) - start
        file.seek(start)
        self._talk("PUT", key, file, {"Content-Type": content_type, "Content-Length": str(size)})

    def delete(self, key: str) -> None:
        """Remove a file, if it is there. Raises OSError or StorageError."""
        self._talk("DELETE", key, None, {})

    def _talk(self, method: str, key: str, body: BinaryIO | None, headers: dict[str, str]) -> None:
        url = urlsplit(self._signed(method, key, LIFETIME, datetime.now(UTC), {}))
        secure = url.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(url.netloc, timeout=TIMEOUT)
        try:
            connection.request(method, f"{url.path}?{url.query}", body, headers)
            response = connection.getresponse()
            said = response.read(200).decode(errors="replace")
        except http.client.HTTPException as error:
            raise StorageError(f"the server broke off: {error!r}") from error
        finally:
            connection.close()
        if response.status not in (200, 204):
            raise StorageError(f"the server answered {response.status}: {said}")

    def _signed(
        self, method: str, key: str, lifetime: timedelta, now: datetime, more: dict[str, str]
    ) -> str:
        """A URL with which anybody may do this one thing, for so long."""
        stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        query = {
            "X-Amz-Algorithm": _ALGORITHM,
            "X-Amz-Credential": self._credential(stamp),
            "X-Amz-Date": stamp,
            "X-Amz-Expires": str(int(lifetime.total_seconds())),
            "X-Amz-SignedHeaders": "host",
            **more,
        }
        url = urlsplit(f"{self.url}/{quote(key)}")
        canonical = "&".join(
            f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in sorted(query.items())
        )
        request = f"{method}\n{url.path}\n{canonical}\nhost:{url.netloc}\n\nhost\nUNSIGNED-PAYLOAD"
        digest = hashlib.sha256(request.encode()).hexdigest()
        to_sign = f"{_ALGORITHM}\n{stamp}\n{self._scope(stamp)}\n{digest}"
        return f"{url.geturl()}?{canonical}&X-Amz-Signature={self._sign(to_sign, stamp)}"

    def _credential(self, stamp: str) -> str:
        return f"{self._key_id.get_secret_value()}/{self._scope(stamp)}"

    def _scope(self, stamp: str) -> str:
        return f"{stamp[:8]}/{self.region}/s3/aws4_request"

    def _sign(self, text: str, stamp: str) -> str:
        key = f"AWS4{self._secret.get_secret_value()}".encode()
        for part in (stamp[:8], self.region, "s3", "aws4_request"):
            key = hmac.digest(key, part.encode(), hashlib.sha256)
        return hmac.digest(key, text.encode(), hashlib.sha256).hex()


class LocalFiles:
    """What stands in for a bucket in development and in tests: a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, key: str, file: BinaryIO, content_type: str) -> None:
        path = self.path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as copy:
            shutil.copyfileobj(file, copy)

    def delete(self, key: str) -> None:
        self.path(key).unlink(missing_ok=True)

    def path(self, key: str) -> Path:
        return self._folder / key


def files() -> Storage | LocalFiles:
    """Where files of our own making go. Raises Unavailable in production without a bucket."""
    if (found := current_app.extensions["files"]) is None:
        raise Unavailable("exports are not configured", retry_after=3600)
    return found  # type: ignore[no-any-return]


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
            settings.aws_secret_access_key,
            settings.s3_endpoint_url,
        )
    local = None if settings.is_production else LocalFiles(FOLDER)
    app.extensions["files"] = app.extensions["storage"] or local
