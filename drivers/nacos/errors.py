"""The two ways in which a question to a Nacos server fails. Neither leaves the driver."""

__all__ = ["NacosRefused", "NacosUnavailable"]


class NacosUnavailable(Exception):
    """No answer, or a fault that passes: to be tried again."""


class NacosRefused(Exception):
    """The server understood and does not want it: trying again soon is of no use."""
