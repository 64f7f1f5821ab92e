"""A Nacos server seen and changed from outside: its HTTP API, without any Nacos client.

`NacosApi.instances` is the oracle of the tests: what the server itself lists. The rest is what an operator, or a
program without a client, does to it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

__all__ = ["Listed", "NacosApi"]

_HEADERS = {"test": "test"}
"""What servers of a cluster show to each other; with it a call needs no user. The launcher sets it."""

_NO_SUCH_SERVICE = 30000


@attrs.frozen
class Listed:
    """An instance as the server, or a client, lists it."""

    ip: str
    port: int
    weight: float
    healthy: bool
    enabled: bool
    ephemeral: bool
    cluster: str
    metadata: dict[str, str]

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Listed:
        """From the server's JSON, or a peer's."""
        return cls(
            ip=entry["ip"],
            port=entry["port"],
            weight=entry["weight"],
            healthy=entry["healthy"],
            enabled=entry["enabled"],
            ephemeral=entry["ephemeral"],
            cluster=entry["clusterName"] if "clusterName" in entry else entry["cluster"],
            metadata=dict(entry["metadata"]),
        )

    @property
    def address(self) -> str:
        """``ip:port``"""
        return f"{self.ip}:{self.port}"


@attrs.frozen
class NacosApi:
    """Calls to one server. Every call raises `OSError` when the server does not answer within `timeout` seconds,
    `AssertionError` when it refuses.

    Args:
        address: ``host:port`` of its HTTP side.
        enter: what to put before a command that is to run where the server can be reached.
    """

    address: str
    enter: Sequence[str] = ()
    timeout: float = 5.0

    def instances(
        self, service: str, *, group: str = "DEFAULT_GROUP", namespace: str = "public", cluster: str = "DEFAULT"
    ) -> list[Listed]:
        """All instances of a service in one cluster by address, the unhealthy and the disabled too; of an unknown
        service none."""
        query = {"serviceName": service, "groupName": group, "namespaceId": namespace, "clusterName": cluster}
        answer = self._call("GET", "/v3/admin/ns/instance/list", **query)
        return sorted((Listed.from_json(entry) for entry in answer["data"]), key=lambda listed: listed.address)

    def services(self, *, group: str = "DEFAULT_GROUP", namespace: str = "public") -> list[str]:
        """The names of all services of a group."""
        query = {"groupNameParam": group, "namespaceId": namespace, "pageNo": 1, "pageSize": 500}
        answer = self._call("GET", "/v3/admin/ns/service/list", **query)
        return sorted(entry["name"] for entry in answer["data"]["pageItems"] if entry["groupName"] == group)

    def connections(self, service: str, *, group: str = "DEFAULT_GROUP", namespace: str = "public") -> list[str]:
        """The server's ids of the client connections that registered instances of a service."""
        query = {"serviceName": service, "groupName": group, "namespaceId": namespace}
        answer = self._call("GET", "/v3/admin/ns/client/service/publisher/list", **query)
        return sorted(entry["clientId"] for entry in answer["data"])

    def register(self, service: str, listed: Listed, *, group: str = "DEFAULT_GROUP") -> None:
        """Register without a connection. An ephemeral one gets no heartbeats: unhealthy after 15 s, gone after 30 s."""
        self._call("POST", "/v3/admin/ns/instance", **self._instance(service, group, listed))

    def update(self, service: str, listed: Listed, *, group: str = "DEFAULT_GROUP") -> None:
        """Change weight, metadata and ``enabled``, as the operator's console does. From now on the server shows these,
        whatever the instance's own client registers."""
        self._call("PUT", "/v3/admin/ns/instance", **self._instance(service, group, listed))

    def remove(self, service: str, listed: Listed, *, group: str = "DEFAULT_GROUP") -> None:
        """Remove what `register` registered. Nacos says "ok" for an instance that belongs to a client's connection,
        too, and leaves it: nobody but that client can remove it."""
        self._call("DELETE", "/v3/admin/ns/instance", **self._instance(service, group, listed))

    def publish(self, data_id: str, content: str, *, group: str = "DEFAULT_GROUP") -> None:
        """Keep a text under this id, in place of what was there."""
        self._call(
            "POST", "/v3/admin/cs/config", dataId=data_id, groupName=group, namespaceId="public", content=content
        )

    def withdraw(self, data_id: str, *, group: str = "DEFAULT_GROUP") -> None:
        """Keep nothing under it any more."""
        self._call("DELETE", "/v3/admin/cs/config", dataId=data_id, groupName=group, namespaceId="public")

    def make_first_user(self, password: str) -> None:
        """Make the user ``nacos``, who may do everything; a server with authentication has none at first."""
        self._call("POST", "/v3/auth/user/admin", password=password)

    def make_reader(self, user: str, password: str) -> None:
        """Make a user who may read everything in the namespace ``public``, and write nothing."""
        self._call("POST", "/v3/auth/user", username=user, password=password)
        self._call("POST", "/v3/auth/role", role=f"{user}-role", username=user)
        self._call("POST", "/v3/auth/permission", role=f"{user}-role", resource="public:*:*", action="r")

    def _instance(self, service: str, group: str, listed: Listed) -> dict[str, Any]:
        return {
            "serviceName": service,
            "groupName": group,
            "namespaceId": "public",
            "clusterName": listed.cluster,
            "ip": listed.ip,
            "port": listed.port,
            "weight": listed.weight,
            "healthy": str(listed.healthy).lower(),
            "enabled": str(listed.enabled).lower(),
            "ephemeral": str(listed.ephemeral).lower(),
            "metadata": json.dumps(listed.metadata),
        }

    def _call(self, method: str, path: str, **query: Any) -> Any:
        url = f"http://{self.address}/nacos{path}?{urllib.parse.urlencode(query)}"
        if self.enter:
            program = [sys.executable, __file__, method, url, str(self.timeout)]
            done = subprocess.run([*self.enter, *program], capture_output=True, text=True)
            if done.returncode != 0:
                raise OSError(done.stderr.strip().rsplit("\n", 1)[-1])
            status, text = json.loads(done.stdout)
        else:
            status, text = _request(method, url, self.timeout)
        answer = json.loads(text) if text.startswith("{") else text
        if status == 404 and isinstance(answer, dict) and answer["code"] == _NO_SUCH_SERVICE:
            return {"data": []}
        assert status == 200, f"{method} {path} {query}: {status} {text}"
        assert isinstance(answer, dict), f"{method} {path} {query}: {text}"
        assert answer["code"] == 0, f"{method} {path} {query}: {text}"
        return answer


def _request(method: str, url: str, timeout: float) -> tuple[int, str]:
    request = urllib.request.Request(url, method=method, headers=_HEADERS)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read().decode()


if __name__ == "__main__":
    print(json.dumps(_request(sys.argv[1], sys.argv[2], float(sys.argv[3]))))
