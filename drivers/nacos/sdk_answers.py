"""How answers and pushes of a Nacos server are read: leniently, instead of as ``nacos-sdk-python`` does.

An instance that cannot be read is left out, and the rest is read; a refusal to list services is read as what it is; and
an error keeps the server's own code, with its text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import pydantic
from v2.nacos.naming.model.instance import Instance
from v2.nacos.naming.model.naming_request import NotifySubscriberRequest
from v2.nacos.naming.model.naming_response import QueryServiceResponse, ServiceListResponse, SubscribeServiceResponse
from v2.nacos.naming.model.service import Service
from v2.nacos.transport.model.internal_response import ErrorResponse

from ..kit.validation import escaped
from .sdk_errors import first_line

__all__ = ["LENIENT", "ReadableService"]

_OPTIONAL = frozenset({"instanceId", "clusterName", "serviceName", "metadata", "ephemeral"})
"""What an instance need not have: null is as good as nothing there."""
_NEEDED = frozenset({"name", "groupName", "clusters"})
"""What must be readable of a service besides its instances; the time of the list may be missing."""


class ReadableService(Service):  # type: ignore[misc]
    """A service without those of its instances that cannot be read, and why they cannot."""

    unreadable: list[str] = []  # noqa: RUF012 - pydantic copies it for every service

    @pydantic.model_validator(mode="wrap")
    @classmethod
    def _leave_out(cls, raw: Any, read: Callable[[Any], Self]) -> Self:
        if not isinstance(raw, dict) or not isinstance(raw.get("hosts") or [], list):
            return read(raw)
        readable: list[Instance] = []
        unreadable: list[str] = []
        for host in raw.get("hosts") or []:
            try:
                given = {key: value for key, value in host.items() if value is not None or key not in _OPTIONAL}
                readable.append(Instance.model_validate(given))
            except (pydantic.ValidationError, AttributeError) as error:
                unreadable.append(escaped(f"{host!r:.200}: {first_line(error)}"))
        hosts = {"hosts": readable, "unreadable": unreadable, "lastRefTime": _time(raw)}
        try:
            return read(raw | hosts)
        except pydantic.ValidationError:
            return read({key: value for key, value in raw.items() if key in _NEEDED} | hosts)


def _time(raw: dict[str, Any]) -> int:
    """The time of a list in milliseconds; 0 for one that does not tell."""
    try:
        return int(raw.get("lastRefTime") or 0)
    except (TypeError, ValueError, OverflowError):
        return 0


class _Query(QueryServiceResponse):  # type: ignore[misc]
    serviceInfo: ReadableService | None = None  # noqa: N815


class _Subscription(SubscribeServiceResponse):  # type: ignore[misc]
    serviceInfo: ReadableService | None = None  # noqa: N815


class _Push(NotifySubscriberRequest):  # type: ignore[misc]
    serviceInfo: ReadableService | None  # noqa: N815


class _Services(ServiceListResponse):  # type: ignore[misc]
    """With defaults, because a refusal has neither. What is no name is left out."""

    count: int = 0
    serviceNames: list[str] = []  # noqa: N815, RUF012

    @pydantic.field_validator("serviceNames", mode="before")
    @classmethod
    def _leave_out(cls, raw: Any) -> Any:
        return [name for name in raw if isinstance(name, str)] if isinstance(raw, list) else raw


class _Error(ErrorResponse):  # type: ignore[misc]
    """The SDK takes no more than the text of it, and calls every error a 500."""

    def get_message(self) -> str:
        return _Coded(self.message, self.errorCode or self.resultCode)


class _Coded(str):
    """The text of an error with the server's code for it."""

    code: int

    def __new__(cls, text: str, code: int) -> _Coded:
        coded = super().__new__(cls, text)
        coded.code = code
        return coded


LENIENT: dict[str, type[Any]] = {
    "ErrorResponse": _Error,
    "QueryServiceResponse": _Query,
    "SubscribeServiceResponse": _Subscription,
    "NotifySubscriberRequest": _Push,
    "ServiceListResponse": _Services,
}
"""By the name of the message, what reads it."""
