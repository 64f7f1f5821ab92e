"""The three ways in which a question to a Nacos server fails. None of them leaves the driver."""

__all__ = ["NacosError", "NacosFailed", "NacosRefused", "NacosUnavailable"]


class NacosError(Exception):
    """No answer, or one that is no use. The message can be logged as it is."""


class NacosUnavailable(NacosError):
    """No answer: the connection may be lost."""


class NacosRefused(NacosError):
    """The server understood and does not want it: asking again soon is of no use."""


class NacosFailed(NacosError):
    """The server answered, with a fault that may pass or with nonsense: what was asked for is in trouble, the
    connection is not.
    """
