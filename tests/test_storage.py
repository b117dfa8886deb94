"""Signed URLs and forms: character for character what AWS' own client makes of the same."""

import json
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs, quote, urlsplit

import botocore.auth
import botocore.signers
import pytest
from botocore.config import Config
from botocore.session import Session
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from service.storage import Storage

KEY_ID, SECRET = "AKIDOFTESTS", "the/secret+key of the tests"
NOW = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
LIFETIME = timedelta(minutes=15)
SIGNATURE = ("policy", "x-amz-signature")

# (bucket, region, endpoint), and how the URL begins.
BUCKETS = [
    ("bucket", "eu-central-1", None, "https://bucket.s3.eu-central-1.amazonaws.com"),
    ("bucket", "us-east-1", None, "https://bucket.s3.us-east-1.amazonaws.com"),
    ("dots.bucket", "us-east-1", None, "https://s3.us-east-1.amazonaws.com/dots.bucket"),
    ("bucket", "us-east-1", "https://s3.example.com", "https://s3.example.com/bucket"),
    ("bucket", "auto", "http://127.0.0.1:9000", "http://127.0.0.1:9000/bucket"),
]

text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
keys = text.filter(lambda key: not key.startswith("/"))
buckets = st.sampled_from([each[:3] for each in BUCKETS])
content_types = st.from_regex(r"[a-z]+/[a-z0-9][a-z0-9.+-]*", fullmatch=True)
sizes = st.integers(1, 2**40)
several = settings(max_examples=40, deadline=None)
times = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))


def make_storage(bucket: str, region: str, endpoint: str | None) -> Storage:
    return Storage(bucket, region, SecretStr(KEY_ID), SecretStr(SECRET), endpoint)


@cache
def reference(bucket: str, region: str, endpoint: str | None) -> Any:
    in_path = endpoint is not None or "." in bucket
    s3 = {
        "us_east_1_regional_endpoint": "regional",
        "addressing_style": "path" if in_path else "virtual",
    }
    return Session().create_client(
        "s3",
        region_name=region,
        endpoint_url=endpoint,
        aws_access_key_id=KEY_ID,
        aws_secret_access_key=SECRET,
        config=Config(signature_version="s3v4", s3=s3),
    )


@contextmanager
def frozen(now: datetime) -> Iterator[None]:
    """botocore's clock, stopped."""
    with (
        patch.object(botocore.auth, "get_current_datetime", lambda: now),
        patch.object(botocore.signers, "get_current_datetime", lambda: now),
    ):
        yield


@several
@example(BUCKETS[0][:3], "a/ü +%~'()*&=?#", "a/b +%~'()*&=?#\r\n\".txt", NOW)
@given(buckets, keys, text, times)
def test_a_url_is_signed_as_botocore_does(
    bucket: tuple[str, str, str | None], key: str, filename: str, now: datetime
) -> None:
    url = make_storage(*bucket).download_url(key, filename, LIFETIME, now)
    disposition = f"attachment; filename*=UTF-8''{quote(filename, safe='')}"
    wanted = {"Bucket": bucket[0], "Key": key, "ResponseContentDisposition": disposition}
    with frozen(now):
        theirs = reference(*bucket).generate_presigned_url("get_object", wanted, 900)
    assert urlsplit(url)[:3] == urlsplit(theirs)[:3]
    assert parse_qs(urlsplit(url).query) == parse_qs(urlsplit(theirs).query)


@several
@given(buckets, keys, content_types, sizes, times)
def test_a_form_is_signed_as_botocore_does(
    bucket: tuple[str, str, str | None], key: str, content_type: str, size: int, now: datetime
) -> None:
    form = make_storage(*bucket).upload_form(key, content_type, size, LIFETIME, now)
    fields = {"Content-Type": content_type}
    conditions = [fields.copy(), ["content-length-range", size, size]]
    with frozen(now):
        theirs = reference(*bucket).generate_presigned_post(bucket[0], key, fields, conditions, 900)
    assert form.url.rstrip("/") == theirs["url"].rstrip("/")
    assert without_signature(form.fields) == without_signature(theirs["fields"])
    assert policy(form.fields) == policy(theirs["fields"])
    assert form.fields["x-amz-signature"] == signed_by_botocore(form.fields["policy"], bucket, now)


def without_signature(fields: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in fields.items() if name not in SIGNATURE}


def policy(fields: dict[str, str]) -> tuple[str, list[str]]:
    """When it ends, and its conditions, whose order means nothing."""
    found = json.loads(b64decode(fields["policy"]))
    return found["expiration"], sorted(map(json.dumps, found["conditions"]))


def signed_by_botocore(text: str, bucket: tuple[str, str, str | None], now: datetime) -> str:
    credentials = botocore.credentials.Credentials(KEY_ID, SECRET)
    signer = botocore.auth.S3SigV4PostAuth(credentials, "s3", bucket[1])
    request = botocore.awsrequest.AWSRequest()
    request.context["timestamp"] = now.strftime("%Y%m%dT%H%M%SZ")
    return str(signer.signature(text, request))


@pytest.mark.parametrize(("bucket", "region", "endpoint", "url"), BUCKETS)
def test_the_bucket_is_in_the_host_of_aws_and_in_the_path_of_others(
    bucket: str, region: str, endpoint: str | None, url: str
) -> None:
    assert make_storage(bucket, region, endpoint).url == url


def test_the_policy_allows_one_key_type_and_size_and_no_field_more() -> None:
    form = make_storage(*BUCKETS[0][:3]).upload_form("a/b", "text/plain", 5, LIFETIME, NOW)
    expiration, conditions = policy(form.fields)
    equal = {"bucket": "bucket"} | without_signature(form.fields)
    wanted: list[Any] = [{name: value} for name, value in equal.items()]
    assert expiration == "2026-02-03T04:20:06Z"
    assert conditions == sorted(map(json.dumps, [*wanted, ["content-length-range", 5, 5]]))
    # S3 refuses a field that the policy does not name. SeaweedFS lets `acl` pass, so look here.
    assert set(form.fields) - set(SIGNATURE) == {name for each in wanted for name in each} - {
        "bucket"
    }


PARTS: dict[str, Any] = {"key": "a", "filename": "b", "lifetime": LIFETIME, "now": NOW}


@pytest.mark.parametrize(
    ("secret", "changes"),
    [
        (SECRET, {"key": "c"}),
        (SECRET, {"filename": "c"}),
        (SECRET, {"lifetime": LIFETIME * 2}),
        (SECRET, {"now": NOW + timedelta(seconds=1)}),
        ("another", {}),
    ],
)
def test_the_signature_depends_on_each_part(secret: str, changes: dict[str, Any]) -> None:
    one = Storage("bucket", "auto", SecretStr(KEY_ID), SecretStr(SECRET))
    other = Storage("bucket", "auto", SecretStr(KEY_ID), SecretStr(secret))
    assert signature(one.download_url(**PARTS)) == signature(one.download_url(**PARTS))
    assert signature(one.download_url(**PARTS)) != signature(other.download_url(**PARTS | changes))


def signature(url: str) -> str:
    return parse_qs(urlsplit(url).query)["X-Amz-Signature"][0]
