"""Texts and pictures, in a bucket of anything that speaks S3."""

from __future__ import annotations

import contextlib
from urllib.parse import quote, unquote, urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from .errors import BizError
from .variables import secret, text

__all__ = ["MOST_BYTES", "Storage"]

MOST_BYTES = 1024 * 1024
"""Of one text."""
_WITHIN = 10
_NOT_THERE = ("404", "NoSuchKey", "NotFound")


class Storage:
    """The bucket, which is made if it is not there."""

    def __init__(self) -> None:
        self.endpoint = text("BIZ_OSS_ENDPOINT", "http://localhost:9000").rstrip("/")
        if "//" not in self.endpoint:
            self.endpoint = f"http://{self.endpoint}"
        self.bucket = text("BIZ_OSS_BUCKET", "wordcloud")
        self._client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=secret("BIZ_OSS_KEY", "testkey"),
            aws_secret_access_key=secret("BIZ_OSS_SECRET", "testsecret"),
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path"},
                connect_timeout=_WITHIN,
                read_timeout=_WITHIN,
                retries={"total_max_attempts": 3},
            ),
        )
        known = self._client.exceptions
        self._there_already = known.BucketAlreadyOwnedByYou, known.BucketAlreadyExists

    def put(self, key: str, data: bytes, kind: str) -> str:
        """Store it; its URL.

        Raises:
            BizError: 503, the store cannot be reached, or refused it.
        """
        try:
            try:
                self._put(key, data, kind)
            except self._client.exceptions.NoSuchBucket:
                with contextlib.suppress(*self._there_already):
                    self._client.create_bucket(Bucket=self.bucket)
                self._put(key, data, kind)
        except (BotoCoreError, ClientError) as error:
            raise BizError(503, f"it cannot be stored: {error}") from error
        return self.url(key)

    def _put(self, key: str, data: bytes, kind: str) -> None:
        self._client.put_object(Bucket=self.bucket, Key=key, Body=data, ContentType=kind)

    def get(self, key: str, most: int) -> tuple[bytes, str] | None:
        """What is stored under the key, at most so many bytes and one more, and its media type; None if nothing is.

        Raises:
            BizError: 503, the store cannot be reached.
        """
        try:
            found = self._client.get_object(Bucket=self.bucket, Key=key)
            return found["Body"].read(most + 1), found["ContentType"]
        except ClientError as error:
            if error.response["Error"]["Code"] in (*_NOT_THERE, "NoSuchBucket"):
                return None
            raise BizError(503, f"it cannot be read: {error}") from error
        except BotoCoreError as error:
            raise BizError(503, f"it cannot be read: {error}") from error

    def url(self, key: str) -> str:
        """Where it is."""
        return f"{self.endpoint}/{self.bucket}/{quote(key)}"

    def key(self, url: str) -> str | None:
        """The key of a URL of ours; None if it points elsewhere."""
        ours, given = urlsplit(self.url("")), urlsplit(url)
        if (given.scheme, given.netloc) != (ours.scheme, ours.netloc) or not given.path.startswith(ours.path):
            return None
        key = unquote(given.path.removeprefix(ours.path))
        return key if key and ".." not in key.split("/") else None
