"""A Nacos server that answers every question as it is told to: with what is right, with an error, with nonsense or not.

It keeps what a real one keeps: what was registered, by which connection, and who wants to be told.
"""

from __future__ import annotations

import enum
import http.server
import json
import queue
import threading
import time
import uuid
from collections import Counter
from concurrent import futures
from types import TracebackType
from typing import Any

import grpc
from v2.nacos.transport.grpcauto.nacos_grpc_service_pb2 import Payload

__all__ = ["Answer", "Question", "ScriptedNacos"]

Json = dict[str, Any]


class Question(enum.StrEnum):
    """Everything that the driver, or the SDK for it, asks a server."""

    CONNECT = "connect"
    LOG_IN = "log in"
    REGISTER = "register"
    DEREGISTER = "deregister"
    QUERY = "who offers it"
    SUBSCRIBE = "subscribe"
    UNSUBSCRIBE = "unsubscribe"
    NAMES = "which services"
    HEALTH = "are you well"


class Answer(enum.StrEnum):
    """What a server can say instead of what is right."""

    REFUSAL = "403"
    REFUSAL_BY_ERROR = "403 as an error"
    ILLEGAL = "400 as an error"
    ERROR = "500"
    OVERLOADED = "503"
    UNREGISTERED = "301 as an error"
    NONSENSE = "no JSON"
    OTHER_TYPE = "another type"
    UNKNOWN_TYPE = "an unknown type"
    NULLS = "nothing but nulls"
    HALF = "half an answer"
    EMPTY = "nothing at all"
    SILENCE = "silence"
    UNAVAILABLE = "gRPC UNAVAILABLE"

    @property
    def refuses(self) -> bool:
        """Whether the server says that it does not want it."""
        return self in (Answer.REFUSAL, Answer.REFUSAL_BY_ERROR, Answer.ILLEGAL)

    @property
    def is_error(self) -> bool:
        """Whether it is an error of the server's, of a connection that it knows."""
        return self in _ERRORS and self is not Answer.UNREGISTERED


_TYPES = {
    "ServerCheckRequest": Question.CONNECT,
    "ServiceQueryRequest": Question.QUERY,
    "ServiceListRequest": Question.NAMES,
    "HealthCheckRequest": Question.HEALTH,
}
_ERRORS = {
    Answer.REFUSAL_BY_ERROR: (403, "no permission"),
    Answer.ILLEGAL: (400, "Param is illegal"),
    Answer.ERROR: (500, "Server is DOWN now, please try again later!"),
    Answer.OVERLOADED: (503, "over threshold"),
    Answer.UNREGISTERED: (301, "Connection is unregistered."),
}
_HTTP = {
    Answer.REFUSAL: (403, "unknown user!"),
    Answer.REFUSAL_BY_ERROR: (500, "User nacos not found"),
    Answer.ILLEGAL: (401, ""),
    Answer.ERROR: (500, "caused: Connection refused"),
    Answer.OVERLOADED: (503, "server is STARTING now, please try again later!"),
    Answer.UNREGISTERED: (301, ""),
    Answer.NONSENSE: (200, "<html>"),
    Answer.OTHER_TYPE: (200, "[]"),
    Answer.UNKNOWN_TYPE: (302, ""),
    Answer.NULLS: (200, '{"accessToken":null,"tokenTtl":null}'),
    Answer.HALF: (200, '{"accessToken":"T"'),
    Answer.EMPTY: (200, ""),
    Answer.UNAVAILABLE: (502, "bad gateway"),
}


class ScriptedNacos:
    """The server, as a context manager.

    Attributes:
        address: ``host:port`` of its HTTP port.
        instead: what it says to a question about a service, or about any for "", instead of what is right.
        asked: how often it was asked what.
        page_size: the most names of services that it tells at once; 0 for as many as it is asked for.
        login: the status and the text of the answer to a login, instead of what is right.
        closing: set when it is at its end.
    """

    def __init__(self) -> None:
        self.instead: dict[tuple[Question, str], Answer] = {}
        self.asked: Counter[tuple[Question, str]] = Counter()
        self.page_size = 0
        self.login: tuple[int, str] | None = None
        # By service, and by the connection or, for `offer`, the host of whoever registered: one instance each.
        self._lists: dict[str, dict[str, Json]] = {}
        self._subscribers: dict[str, set[str]] = {}
        self._streams: dict[str, queue.Queue[Payload | None]] = {}
        self._changed_at = int(time.time() * 1000)
        self._lock = threading.RLock()
        self.closing = threading.Event()

    def __enter__(self) -> ScriptedNacos:
        self._grpc = grpc.server(futures.ThreadPoolExecutor(24), options=[("grpc.so_reuseport", 0)])
        self._grpc.add_generic_rpc_handlers((_Rpc(self),))
        while True:  # until a port is free whose HTTP port is free as well
            port = self._grpc.add_insecure_port("127.0.0.1:0")
            try:
                self._http = _HttpServer(("127.0.0.1", port - 1000), self)
            except (OSError, OverflowError):
                continue
            break
        self.address = f"127.0.0.1:{port - 1000}"
        self._grpc.start()
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self.cut()
        self._grpc.stop(0).wait(5)
        self._http.shutdown()
        self._http.server_close()

    # -- what a test does ----------------------------------------------------------------------------------------------

    def offer(self, service: str, host: str, **fields: Any) -> None:
        """Somebody else registers."""
        instance = {"ip": host, "port": 1, "weight": 1.0, "healthy": True, "enabled": True, "metadata": {}} | fields
        with self._lock:
            self._lists.setdefault(service, {})[host] = instance
            self._tell(service)

    def withdraw(self, service: str, host: str) -> None:
        """Somebody else goes."""
        with self._lock:
            self._lists[service].pop(host, None)
            self._tell(service)

    def listed(self, service: str) -> dict[str, Json]:
        """Who offers it, by host."""
        with self._lock:
            return {instance["ip"]: instance for instance in self._lists.get(service, {}).values()}

    def push(self, payload: Payload) -> None:
        """Push this to everybody."""
        for stream in tuple(self._streams.values()):
            stream.put(payload)

    def cut(self) -> None:
        """Close every connection."""
        for stream in tuple(self._streams.values()):
            stream.put(None)

    def times_asked(self, question: Question) -> int:
        """How often it was asked that, about whatever service."""
        return sum(times for (asked, _), times in tuple(self.asked.items()) if asked is question)

    @property
    def connections(self) -> int:
        return len(self._streams)

    # -- answers -------------------------------------------------------------------------------------------------------

    def answer(self, payload: Payload, context: grpc.ServicerContext) -> Payload:
        """The answer to one question; the thread waits for it where it is silence."""
        kind, body = payload.metadata.type, json.loads(payload.body.value or b"{}")
        service = body.get("serviceName") or ""
        question = _question(kind, body)
        self.asked[question, service] += 1
        instead = self.instead.get((question, service)) or self.instead.get((question, ""))
        if instead is Answer.SILENCE:
            self._wait(context)
        if instead is Answer.UNAVAILABLE:
            context.abort(grpc.StatusCode.UNAVAILABLE, "scripted")
        with self._lock:
            right, fields = self._right(question, kind, body, context.peer(), does=instead is None)
        request = {"requestId": body.get("requestId", "")}
        if instead is None:
            return payload_of(right, {"resultCode": 200, "errorCode": 0, "message": ""} | request | fields)
        return self._wrong(instead, right, request, fields)

    def _wait(self, context: grpc.ServicerContext) -> None:
        ended = threading.Event()
        if context.add_callback(ended.set):
            while not ended.wait(0.05) and not self.closing.is_set():
                pass

    def _wrong(self, instead: Answer, right: str, request: Json, fields: Json) -> Payload:
        if instead in _ERRORS:
            code, text = _ERRORS[instead]
            return payload_of("ErrorResponse", {"resultCode": 500, "errorCode": code, "message": text} | request)
        whole = {"resultCode": 200, "errorCode": 0, "message": ""} | request | fields
        match instead:
            case Answer.REFUSAL:
                return payload_of(right, {"resultCode": 500, "errorCode": 403, "message": "no permission"} | request)
            case Answer.NONSENSE:
                return payload_of(right, b"\xff\x00<html>")
            case Answer.OTHER_TYPE:
                return payload_of("ConfigPublishResponse", whole)
            case Answer.UNKNOWN_TYPE:
                return payload_of("NoSuchResponse", whole)
            case Answer.NULLS:
                return payload_of(right, dict.fromkeys(whole))
            case Answer.HALF:
                return payload_of(right, json.dumps(whole).encode()[: len(json.dumps(whole)) // 2])
        return payload_of("", b"")

    def _right(self, question: Question, kind: str, body: Json, peer: str, *, does: bool) -> tuple[str, Json]:
        """The type of the right answer and its fields, after doing what was asked for."""
        service = body.get("serviceName", "")
        match question:
            case Question.CONNECT:
                return "ServerCheckResponse", {"connectionId": uuid.uuid4().hex, "supportAbilityNegotiation": False}
            case Question.HEALTH:
                return "HealthCheckResponse", {}
            case Question.NAMES:
                names = [name for name, instances in self._lists.items() if instances]
                size = self.page_size or body["pageSize"]
                page = names[(body["pageNo"] - 1) * size :][:size]
                return "ServiceListResponse", {"count": len(names), "serviceNames": page}
            case Question.REGISTER | Question.DEREGISTER:
                if does:
                    self._change(service, body["instance"], peer, registers=question is Question.REGISTER)
                return "InstanceResponse", {}
            case Question.SUBSCRIBE:
                if does:
                    self._subscribers.setdefault(service, set()).add(peer)
                return "SubscribeServiceResponse", {"serviceInfo": self._info(service)}
            case Question.UNSUBSCRIBE:
                if does:
                    self._subscribers.get(service, set()).discard(peer)
                return "SubscribeServiceResponse", {"serviceInfo": self._info(service)}
        return "QueryServiceResponse", {"serviceInfo": self._info(service)}

    def _change(self, service: str, instance: Json, peer: str, *, registers: bool) -> None:
        if registers:
            self._lists.setdefault(service, {})[peer] = instance
        else:
            self._lists.get(service, {}).pop(peer, None)
        self._tell(service)

    def _info(self, service: str) -> Json:
        hosts = [{**each, "instanceId": host} for host, each in self.listed(service).items()]
        return {"name": service, "groupName": "DEFAULT_GROUP", "hosts": hosts, "lastRefTime": self._changed_at}

    def _tell(self, service: str) -> None:
        self._changed_at += 1
        for peer in self._subscribers.get(service, ()):
            if (stream := self._streams.get(peer)) is not None:
                stream.put(payload_of("NotifySubscriberRequest", self.notification(service)))

    def notification(self, service: str) -> Json:
        """What a push of the service says."""
        return {"requestId": uuid.uuid4().hex, "serviceName": service, "serviceInfo": self._info(service)}

    def stream(self, requests: Any, context: grpc.ServicerContext) -> Any:
        """A connection: pushes go out, and when it ends, what was registered through it is forgotten."""
        pushes: queue.Queue[Payload | None] = queue.Queue()
        peer = context.peer()
        self._streams[peer] = pushes
        context.add_callback(lambda: pushes.put(None))
        while (payload := pushes.get()) is not None:
            yield payload
        with self._lock:
            self._streams.pop(peer, None)
            for service, instances in self._lists.items():
                if instances.pop(peer, None) is not None:
                    self._tell(service)


def payload_of(kind: str, body: Json | bytes) -> Payload:
    """A message as it goes over the wire."""
    payload = Payload()
    payload.metadata.type = kind
    payload.body.value = body if isinstance(body, bytes) else json.dumps(body).encode()
    return payload


def _question(kind: str, body: Json) -> Question:
    if kind == "SubscribeServiceRequest":
        return Question.SUBSCRIBE if body.get("subscribe") else Question.UNSUBSCRIBE
    if kind == "InstanceRequest":
        return Question.REGISTER if body.get("type") == "registerInstance" else Question.DEREGISTER
    return _TYPES[kind]


class _Rpc(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self, server: ScriptedNacos) -> None:
        self._server = server

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        read, write = Payload.FromString, Payload.SerializeToString
        if details.method == "/Request/request":
            return grpc.unary_unary_rpc_method_handler(self._server.answer, read, write)
        return grpc.stream_stream_rpc_method_handler(self._server.stream, read, write)


class _HttpServer(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], server: ScriptedNacos) -> None:
        super().__init__(address, _Login)
        self.scripted = server


class _Login(http.server.BaseHTTPRequestHandler):
    server: _HttpServer

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        scripted = self.server.scripted
        scripted.asked[Question.LOG_IN, ""] += 1
        instead = scripted.instead.get((Question.LOG_IN, ""))
        if instead is Answer.SILENCE:
            scripted.closing.wait(10)
            return
        right = scripted.login or (200, '{"accessToken":"T","tokenTtl":18000}')
        status, text = right if instead is None else _HTTP[instead]
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing."""
