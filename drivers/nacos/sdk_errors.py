"""What goes wrong in ``nacos-sdk-python``, sorted by what may be done about it.

The SDK has one error. Whatever goes wrong while an answer is fetched or read becomes one with the code 500; what it was
is kept as its context. What a server says in an error of its own is told by its code, and by the text where servers use
the code 500 for everything.
"""

from __future__ import annotations

import re

import grpc
import pydantic
from v2.nacos import NacosException

from ..kit.validation import escaped
from .errors import NacosError, NacosFailed, NacosRefused, NacosUnavailable

__all__ = ["LOGIN_PATH", "first_line", "is_wrong_login", "sorted_error"]

LOGIN_PATH = "/v1/auth/users/login"
"""Where the SDK logs in, below the context path."""

_DENIED_CODES = (400, 401, 403)
_NOT_CONNECTED = -401
_DENIED = ("user not found", "unknown user", "authorization failed", "access denied", "no permission")
"""What servers say who answer a refusal with the code 500."""
_WRONG_LOGIN = re.compile(
    r"unknown user|\buser\b[^.;]{0,80} not found|login failed|unauthorized|forbidden"
    r"|\b(?:wrong|bad|invalid|incorrect) (?:user|password|credential)",
    re.IGNORECASE,
)
_UNSAID = re.compile(r'"error"\s*:\s*"Internal Server Error"')
"""All that Nacos 3.1 says of a wrong user or password: the page of an error, with the path of the login."""
_NOT_LOOKED_AT = (429, 502, 503, 504)
"""What a gateway answers, or a server that starts or is busy: none of them has compared a password."""


def first_line(error: BaseException) -> str:
    """What is wrong, without what pydantic adds for people who write models."""
    if isinstance(error, pydantic.ValidationError):
        return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:3])
    return str(error)


def sorted_error(error: Exception) -> NacosError:
    """The SDK's one error, or whatever else comes out of it, sorted by what may be done about it.

    Whatever goes wrong while an answer is fetched or read, the SDK turns into an error with the code 500; what it was
    is kept as the context.
    """
    if not isinstance(error, NacosException):
        kind = NacosUnavailable if isinstance(error, (OSError, grpc.RpcError)) else NacosFailed
        return kind(escaped(f"{type(error).__name__}: {error}"))
    code = getattr(error.message, "code", error.error_code)
    text = escaped(str(error.message)) or f"error {code}"
    cause = error.__context__
    if isinstance(cause, grpc.aio.AioRpcError):
        return NacosUnavailable(escaped(f"gRPC {cause.code().name}: {cause.details()}"))
    if code == _NOT_CONNECTED or isinstance(cause, OSError):
        return NacosUnavailable(text)
    if cause is not None and not isinstance(cause, NacosException):
        return NacosFailed(escaped(f"an answer that cannot be read ({type(cause).__name__}: {first_line(cause)})"))
    if code in _DENIED_CODES or any(words in text.lower() for words in _DENIED):
        return NacosRefused(text)
    return NacosFailed(text)


def is_wrong_login(status: int, said: str) -> bool:
    """Whether an answer to a login, of 400 or more, says that the user or the password is wrong. Both are named as well
    by a server whose own database does not let it in, and users by every page of an error that shows the path.
    """
    if status in _NOT_LOOKED_AT:
        return False
    if status == 500 and LOGIN_PATH in said and _UNSAID.search(said):
        return True
    return status in (401, 403) or _WRONG_LOGIN.search(said.replace(LOGIN_PATH, "")) is not None
