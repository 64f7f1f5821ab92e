"""The registry's own variables, for the manual and for `described`."""

from __future__ import annotations

from ...drivers.documented import Documented

__all__ = ["VARIABLES"]

_CALLS = (
    Documented(
        "GDD_CALL_ATTEMPTS",
        "`3`",
        "number",
        "how many attempts a call has whose client was given no [policy](calls.md), 1 to 100",
    ),
    Documented(
        "GDD_CALL_DEADLINE",
        "`0`",
        "duration, s",
        "how long all attempts of such a call may take together; 0 for as long as the client's own timeouts say",
    ),
    Documented(
        "GDD_CALL_ATTEMPT_TIMEOUT",
        "`0`",
        "duration, s",
        "how long one of its attempts may take to the head of the answer; 0 for what is left of the deadline",
    ),
    Documented(
        "GDD_CALL_RETRY_RATIO",
        "`0.2`",
        "number",
        "how many retries there may be for each call, over ten seconds and all clients of a service",
    ),
    Documented(
        "GDD_CALL_RETRY_RESERVE",
        "`1`",
        "number",
        "how many retries there may be in a second besides, however few calls there are",
    ),
)

_REMOTE = (
    Documented(
        "GDD_CONFIG_REMOTE_TYPE",
        "–",
        "text",
        "`nacos`: a Nacos server keeps configuration as well, see [Remote configuration](#remote-configuration). "
        "Apollo is not supported",
    ),
    Documented(
        "GDD_NACOS_CONFIG_DATAID",
        "–",
        "list",
        "the data ids of it, the one that counts most first. Needed with `GDD_CONFIG_REMOTE_TYPE`",
    ),
    Documented(
        "GDD_NACOS_CONFIG_GROUP",
        "`DEFAULT_GROUP`",
        "text",
        "their group. How the server is reached, and the namespace, is said by the variables of [nacos](#nacos)",
    ),
    Documented(
        "GDD_NACOS_CONFIG_FORMAT",
        "`dotenv`",
        "`dotenv`, `yaml`",
        "how they are written",
    ),
)

VARIABLES = (
    Documented(
        "GDD_ENV",
        "`dev`",
        "text",
        "whose files are read, where files are: see [Files](#files). Read from the environment of the process only",
    ),
    Documented(
        "GDD_SERVICE_DISCOVERY_MODE",
        "`memberlist`",
        "list",
        "the backends, in the order in which their data is preferred. Unknown ones are skipped with a warning; "
        "if none is known, that is an error",
    ),
    Documented(
        "GDD_SERVICE_NAME",
        "–",
        "text",
        "the name under which others find this process: up to 128 bytes, without blanks, `/` and `@@`. Needed "
        "unless it only looks (`register=False`, with which nothing of what is registered is read)",
    ),
    Documented(
        "GDD_REGISTER_HOST",
        "private address",
        "text",
        "the address under which others reach the service. If it is unset: `GDD_NACOS_REGISTER_HOST` in the mode "
        "`nacos`, else `GDD_MEM_HOST` in the mode `memberlist` (unless that begins with a dot), else the private "
        "address (that of the interface with the default route if there are several; a public one is taken with "
        "a warning)",
    ),
    Documented(
        "GDD_NACOS_REGISTER_HOST",
        "–",
        "text",
        "what go-doudou v1 calls `GDD_REGISTER_HOST`; counts in the mode `nacos` if that is unset",
    ),
    Documented(
        "GDD_PORT",
        "`6060`",
        "number",
        "the port of the service, 1 to 65535",
    ),
    Documented(
        "GDD_ROUTE_ROOT_PATH",
        "–",
        "text",
        "what comes before every path of the service, such as `/v1`",
    ),
    Documented(
        "GDD_WEIGHT",
        "`1`",
        "number",
        "the share of the traffic, up to 10000. 0 or less asks for a dynamic weight, which only gossip has; "
        "Nacos gets 1 then",
    ),
    Documented(
        "GDD_MEM_WEIGHT",
        "`1`",
        "number",
        "what older go-doudou versions call `GDD_WEIGHT`; counts in the mode `memberlist` if that is unset",
    ),
    Documented(
        "GDD_COMPAT",
        "`both`",
        "`both`, `v1`, `v2`",
        "which generations of go-doudou find the service. In gossip both see its data as long as all of it fits "
        "into 512 bytes written twice, else v1 does; one of them saves about 150 bytes; in Nacos it saves the "
        "second name, see [nacos.md](nacos.md)",
    ),
    Documented(
        "GDD_LEAVE_ON_SIGTERM",
        "`true`",
        "flag",
        "whether a SIGTERM that nobody else handles has this process leave, within 2 s, before it ends it",
    ),
    Documented(
        "GDD_DRAIN_TIME",
        "`2s`",
        "duration, s",
        "for how long a process that drains (`Registry.drain`) serves on at least after it has left; longer "
        "where the gossip needs it. 0: until it has been told",
    ),
    Documented(
        "GDD_MANAGE_USER",
        "–",
        "text",
        "with `GDD_MANAGE_PASS`, who may see the registry page. Unset, whoever asks from this machine",
        secret=True,
    ),
    Documented(
        "GDD_MANAGE_PASS",
        "–",
        "text",
        "never shown, never logged",
        secret=True,
    ),
    Documented(
        "GDD_LOG_LEVEL",
        "–",
        "text",
        "from which level on this library logs: `debug`, `info`, `warn`, `error`, or another one of go-doudou's. "
        "Unset, as the program has set the logger `pydoudou`",
    ),
    *_CALLS,
    *_REMOTE,
)
"""All of them, in the order of the manual."""
