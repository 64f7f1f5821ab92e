"""The signature of a question about configuration, where a cloud provider wants access keys."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time

__all__ = ["signed"]


def signed(access_key: str, secret_key: str, resource: str) -> dict[str, str]:
    """The headers of a question about `resource`: the namespace and the group, with a plus in between."""
    now = str(round(time.time() * 1000))
    digest = hmac.new(secret_key.encode(), f"{resource}+{now}".encode(), hashlib.sha1).digest()
    return {
        "Timestamp": now,
        "Spas-AccessKey": access_key,
        "Spas-Signature": base64.b64encode(digest).decode(),
    }
