"""The variables of the static driver, for the manual."""

from __future__ import annotations

from ..documented import Documented

__all__ = ["VARIABLES"]

VARIABLES = (
    Documented(
        "GDD_STATIC_<SERVICE>",
        "–",
        "list",
        "the addresses of a service: `http://10.0.0.1:8080/api;weight=2,https://10.0.0.2`. The scheme is `http`, "
        "`https` or `grpc`; the weight is 0 to 10000, 1 unless given. `GDD_STATIC_USER_SVC` is the service "
        "`user-svc`",
    ),
    Documented(
        "GDD_STATIC_VARIABLES",
        "–",
        "list",
        "services and the variables with their addresses, for names that a variable cannot spell and for "
        "go-doudou's own variables: `user_svc=GDD_STATIC_USER_SVC,wordcloud-usersvc=USERSVC`",
    ),
)
