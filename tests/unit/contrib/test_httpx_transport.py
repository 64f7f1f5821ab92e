"""Which requests the transport balances, what it hands to the transports behind it, and what it relies on in the
library: the same for httpx and for httpx2."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import httpx
import httpx2
import pytest
from support.http_members import InOrder

from pydoudou import CallPolicy, Member, NoMemberAvailable
from pydoudou.contrib import httpx as of_httpx
from pydoudou.contrib import httpx2 as of_httpx2

MEMBER = Member("orders", "10.0.0.7", 8080, root_path="api")
OTHER = Member("orders", "10.0.0.8", 8080)
BINDINGS = {httpx: of_httpx, httpx2: of_httpx2}


@pytest.fixture(params=[httpx, httpx2], ids=["httpx", "httpx2"])
def library(request: pytest.FixtureRequest) -> Any:
    """httpx, or httpx2."""
    return request.param


@pytest.fixture
def binding(library: Any) -> ModuleType:
    """Our module for it."""
    return BINDINGS[library]


class Recorder:
    """A transport that answers 204 and keeps what it was asked."""

    def __init__(self, library: Any) -> None:
        self.library = library
        self.requests: list[Any] = []
        self.transport = library.MockTransport(self._answer)

    def _answer(self, request: Any) -> Any:
        self.requests.append(request)
        return self.library.Response(204)

    @property
    def urls(self) -> list[str]:
        return [str(request.url) for request in self.requests]


@pytest.fixture
def recorder(library: Any) -> Recorder:
    return Recorder(library)


def names_looked_up(transport_options: dict[str, object], url: str, recorder: Recorder) -> list[str]:
    """The services whose balancers were asked for when `url` was requested."""
    names: list[str] = []

    def balancer(name: str) -> InOrder:
        names.append(name)
        return InOrder(MEMBER)

    made = BINDINGS[recorder.library].DiscoveryTransport(recorder.transport, balancer=balancer, **transport_options)
    with recorder.library.Client(transport=made) as client:
        client.get(url)
    return names


@pytest.mark.parametrize(
    "url", ["http://orders/items", "https://orders/items", "http://ORDERS:99/items", "lb://orders/items"]
)
def test_a_host_of_one_label_is_a_service(recorder: Recorder, url: str) -> None:
    assert names_looked_up({}, url, recorder) == ["orders"]
    assert recorder.requests[0].url.path == "/api/items"


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8000/items",
        "http://127.0.0.1/items",
        "http://[::1]:8000/items",
        "http://example.com/items",
        "http://orders.example.com/items",
        "ws://orders/items",
    ],
)
def test_every_other_request_passes_as_it_is(recorder: Recorder, url: str) -> None:
    assert names_looked_up({}, url, recorder) == []
    assert recorder.urls == [url]


def test_a_request_that_passes_is_the_same_object(recorder: Recorder, library: Any, binding: ModuleType) -> None:
    request = library.Request("GET", "http://example.com/")
    binding.DiscoveryTransport(recorder.transport).handle_request(request)
    assert recorder.requests[0] is request


def test_services_names_what_a_url_cannot_carry(recorder: Recorder) -> None:
    services = {"Orders": "DEFAULT_GROUP@@Orders", "users.internal": "Users"}
    assert names_looked_up({"services": services}, "http://orders/", recorder) == ["DEFAULT_GROUP@@Orders"]
    assert names_looked_up({"services": services}, "http://users.internal/", recorder) == ["Users"]


def test_under_lb_every_host_is_a_service(recorder: Recorder) -> None:
    assert names_looked_up({}, "lb://orders.eu/items", recorder) == ["orders.eu"]


def test_a_service_has_one_balancer_for_all_its_requests(recorder: Recorder, library: Any, binding: ModuleType) -> None:
    made: list[str] = []

    def balancer(name: str) -> InOrder:
        made.append(name)
        return InOrder(MEMBER)

    with library.Client(transport=binding.DiscoveryTransport(recorder.transport, balancer=balancer)) as client:
        for _ in range(3):
            client.get("http://orders/items")
    assert made == ["orders"]


def test_a_balancer_instead_of_a_function_is_a_clear_error(binding: ModuleType) -> None:
    with pytest.raises(TypeError, match="balancer is a InOrder; accepted: a function from a service name"):
        binding.DiscoveryTransport(balancer=InOrder(MEMBER))  # type: ignore[arg-type]


def test_without_a_registry_a_request_says_what_to_start(library: Any, binding: ModuleType) -> None:
    with library.Client(transport=binding.DiscoveryTransport()) as client:
        with pytest.raises(binding.NoMemberError, match=r"pydoudou\.new_node") as caught:
            client.get("http://orders/items")
    assert isinstance(caught.value.__cause__, NoMemberAvailable)
    assert str(caught.value.request.url) == "http://orders/items"


def test_services_missing_from_a_mapping_use_the_default_registry(
    recorder: Recorder, library: Any, binding: ModuleType
) -> None:
    transport = binding.DiscoveryTransport(recorder.transport, balancer={"orders": InOrder(MEMBER)})
    with library.Client(transport=transport) as client:
        assert client.get("http://orders/").status_code == 204
        with pytest.raises(binding.NoMemberError):
            client.get("http://users/")


def test_a_function_makes_one_transport_per_member_and_one_for_the_rest(library: Any, binding: ModuleType) -> None:
    made: list[Recorder] = []

    def transport() -> Any:
        made.append(Recorder(library))
        return made[-1].transport

    picker = InOrder(MEMBER)
    with library.Client(transport=binding.DiscoveryTransport(transport, balancer={"orders": picker})) as client:
        client.get("http://orders/1")
        picker.all = (Member("orders", "10.0.0.8", 8080),)
        client.get("http://orders/2")
        client.get("http://orders/3")
        client.get("http://example.com/4")
    assert [recorder.urls for recorder in made] == [
        ["http://10.0.0.7:8080/api/1"],
        ["http://10.0.0.8:8080/2", "http://10.0.0.8:8080/3"],
        ["http://example.com/4"],
    ]


class Counted:
    """Counts how often it is closed."""

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1

    async def aclose(self) -> None:
        self.closed += 1


@pytest.fixture
def closing(library: Any) -> type[Counted]:
    """A transport for both flavours of client that counts how often it is closed."""

    class Closing(Counted, library.BaseTransport, library.AsyncBaseTransport):
        def handle_request(self, request: Any) -> Any:
            return library.Response(204)

        async def handle_async_request(self, request: Any) -> Any:
            return library.Response(204)

    return Closing


def test_closing_the_client_closes_every_transport_once(
    library: Any, binding: ModuleType, closing: type[Counted]
) -> None:
    made: list[Counted] = []

    def transport() -> Counted:
        made.append(closing())
        return made[-1]

    with library.Client(
        transport=binding.DiscoveryTransport(transport, balancer={"orders": InOrder(MEMBER)})
    ) as client:
        client.get("http://orders/")
        client.get("http://example.com/")
    assert [one.closed for one in made] == [1, 1]


def test_closing_an_async_client_closes_a_shared_transport_once(
    library: Any, binding: ModuleType, closing: type[Counted]
) -> None:
    shared = closing()

    async def use() -> None:
        transport = binding.DiscoveryTransport(shared, balancer={"orders": InOrder(MEMBER)})
        async with library.AsyncClient(transport=transport) as client:
            await client.get("http://orders/")
            await client.get("http://example.com/")

    anyio.run(use)
    assert shared.closed == 1


def test_a_client_that_sent_nothing_made_no_transport(library: Any, binding: ModuleType) -> None:
    with library.Client(transport=binding.DiscoveryTransport(lambda: pytest.fail("made"))):
        pass


@pytest.mark.parametrize("instance", [False, True], ids=["class", "instance"])
def test_an_async_transport_in_a_sync_client_is_a_clear_error(
    instance: bool, library: Any, binding: ModuleType
) -> None:
    given = library.AsyncHTTPTransport() if instance else library.AsyncHTTPTransport
    transport = binding.DiscoveryTransport(given, balancer={"orders": InOrder(MEMBER)})  # type: ignore[arg-type]
    with library.Client(transport=transport) as client:
        with pytest.raises(TypeError, match=r"AsyncHTTPTransport, which httpx2?\.Client cannot use"):
            client.get("http://orders/")


def test_a_sync_transport_in_an_async_client_is_a_clear_error(library: Any, binding: ModuleType) -> None:
    async def use() -> None:
        transport = binding.DiscoveryTransport(library.HTTPTransport, balancer={"orders": InOrder(MEMBER)})
        async with library.AsyncClient(transport=transport) as client:
            await client.get("http://orders/")

    with pytest.raises(TypeError, match=r"HTTPTransport, which httpx2?\.AsyncClient cannot use"):
        anyio.run(use)


def test_timeouts_are_cut_to_what_is_left_for_each_phase(recorder: Recorder, library: Any, binding: ModuleType) -> None:
    transport = binding.DiscoveryTransport(
        recorder.transport, balancer={"orders": InOrder(MEMBER, OTHER)}, attempts=2, deadline=4.0
    )
    with library.Client(transport=transport, timeout=library.Timeout(None, read=1.0)) as client:
        client.get("http://orders/")
    sent = recorder.requests[0].extensions["timeout"]
    assert sent["connect"] == sent["pool"] == pytest.approx(2.0, abs=0.2)
    assert sent["write"] == pytest.approx(4.0, abs=0.2)
    assert sent["read"] == 1.0


def test_without_a_deadline_only_connecting_is_cut(recorder: Recorder, library: Any, binding: ModuleType) -> None:
    transport = binding.DiscoveryTransport(recorder.transport, balancer={"orders": InOrder(MEMBER)})
    with library.Client(transport=transport, timeout=None) as client:
        client.get("http://orders/")
    sent = recorder.requests[0].extensions["timeout"]
    assert sent == {"connect": pytest.approx(30.0, abs=0.2), "read": None, "write": None, "pool": None}


def test_a_server_name_of_the_caller_is_kept(recorder: Recorder, library: Any, binding: ModuleType) -> None:
    transport = binding.DiscoveryTransport(recorder.transport, balancer={"orders": InOrder(MEMBER)})
    with library.Client(transport=transport) as client:
        client.get("https://orders/")
        client.get("https://orders/", extensions={"sni_hostname": "shop.example"})
        client.get("http://orders/")
    assert [request.extensions.get("sni_hostname") for request in recorder.requests] == ["orders", "shop.example", None]


def test_members_that_come_and_go_leave_nothing_behind(
    recorder: Recorder, library: Any, binding: ModuleType, closing: type[Counted]
) -> None:
    picker = InOrder()
    made: list[Counted] = []

    def transport() -> Counted:
        made.append(closing())
        return made[-1]

    with library.Client(transport=binding.DiscoveryTransport(transport, balancer={"orders": picker})) as client:
        for port in range(1, 100):
            picker.all = (Member("orders", "10.0.0.7", port),)
            client.get("http://orders/")
    assert [one.closed for one in made] == [1] * 99


@pytest.mark.parametrize(
    "options",
    [
        {"transport": "http://10.0.0.7"},
        {"transport": httpx.Client},
        {"services": ["orders"]},
        {"services": {"orders": 5}},
        {"balancer": {"orders": "RoundRobin"}},
        {"balancer": "RoundRobin"},
        {"attempts": 0},
        {"deadline": "5"},
        {"policy": "default"},
        {"policy": CallPolicy(), "attempts": 2},
        {"policy": CallPolicy(), "deadline": 2.0},
    ],
    ids=str,
)
def test_arguments_that_cannot_work_are_refused_where_they_are_given(
    options: dict[str, Any], binding: ModuleType
) -> None:
    with pytest.raises((TypeError, ValueError), match=r"accepted: |no transport of httpx"):
        binding.DiscoveryTransport(**options)


def test_the_two_modules_differ_in_nothing_but_the_name_of_the_library() -> None:
    def text(module: ModuleType) -> str:
        return Path(str(module.__file__)).read_text(encoding="utf-8").replace("httpx2", "httpx")

    assert text(of_httpx) == text(of_httpx2)


def test_the_two_libraries_have_nothing_to_do_with_each_other() -> None:
    for transport, library, other in ((of_httpx, httpx, httpx2), (of_httpx2, httpx2, httpx)):
        made = transport.DiscoveryTransport()
        assert isinstance(made, (library.BaseTransport, library.AsyncBaseTransport))
        assert not isinstance(made, (other.BaseTransport, other.AsyncBaseTransport))
        assert issubclass(transport.NoMemberError, library.ConnectError)
    with pytest.raises(TypeError, match=r"accepted: httpx2\.HTTPTransport or AsyncHTTPTransport"):
        of_httpx2.DiscoveryTransport(httpx.HTTPTransport)  # type: ignore[arg-type]


def test_the_policy_can_be_read_and_changed_for_services_that_were_called_already(
    recorder: Recorder, library: Any, binding: ModuleType
) -> None:
    transport = binding.DiscoveryTransport(recorder.transport, balancer={"orders": InOrder(MEMBER)}, deadline=4.0)
    assert transport.policy == CallPolicy(deadline=4.0)
    with library.Client(transport=transport, timeout=None) as client:
        for deadline in (4.0, 2.0):
            transport.policy = transport.policy.change(deadline=deadline)
            client.get("http://orders/")
    writes = [request.extensions["timeout"]["write"] for request in recorder.requests]
    assert writes == [pytest.approx(4.0, abs=0.2), pytest.approx(2.0, abs=0.2)]
    with pytest.raises(TypeError, match="policy is a str; accepted: a CallPolicy"):
        transport.policy = "default"
