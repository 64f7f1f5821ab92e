"""Questions about configuration are signed where a cloud provider wants that."""

from __future__ import annotations

import base64
import hashlib
import hmac

from pydoudou.drivers.nacos.sdk_signature import signed


def test_the_signature_is_of_the_resource_and_the_time_and_the_secret_stays_here() -> None:
    headers = signed("ak", "sk", "public+DEFAULT_GROUP")
    text = f"public+DEFAULT_GROUP+{headers['Timestamp']}".encode()
    assert headers["Spas-Signature"] == base64.b64encode(hmac.new(b"sk", text, hashlib.sha1).digest()).decode()
    assert headers["Spas-AccessKey"] == "ak"
    assert "sk" not in headers.values()
