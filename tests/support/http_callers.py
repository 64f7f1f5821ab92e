"""One way to call for all HTTP clients, so that one test says what holds for each of them.

A client comes in with a subclass of `Caller` in a module of its own (``caller_<library>.py``), which is named in
`CALLERS`. Its docstring is the client's name in the tests and in docs/clients.md.
"""

from __future__ import annotations

from support.caller import Answer, Caller, Opened
from support.caller_aiohttp import AiohttpCaller
from support.caller_httpx import (
    AsyncHttpx2Caller,
    AsyncHttpxCaller,
    Httpx2Caller,
    HttpxCaller,
)
from support.caller_requests import RequestsCaller
from support.caller_urllib3 import Urllib3Caller

__all__ = [
    "CALLERS",
    "CANCELLABLE",
    "HTTPX_CALLERS",
    "KEEPING_COOKIES",
    "AiohttpCaller",
    "Answer",
    "AsyncHttpx2Caller",
    "AsyncHttpxCaller",
    "Caller",
    "Httpx2Caller",
    "HttpxCaller",
    "Opened",
    "RequestsCaller",
    "Urllib3Caller",
]

HTTPX_CALLERS: tuple[type[Caller], ...] = (HttpxCaller, AsyncHttpxCaller, Httpx2Caller, AsyncHttpx2Caller)
CALLERS: tuple[type[Caller], ...] = (RequestsCaller, *HTTPX_CALLERS, AiohttpCaller, Urllib3Caller)
KEEPING_COOKIES: tuple[type[Caller], ...] = tuple(one for one in CALLERS if one.keeps_cookies)
CANCELLABLE: tuple[type[Caller], ...] = tuple(one for one in CALLERS if one.cancels)
