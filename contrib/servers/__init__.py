"""A server that is registered exactly while it answers: what every integration with a server is built on."""

from .called import CalledServer
from .check import Check
from .server import RegisteredServer, ServerStatus
from .signals import DrainFirst
from .states import Event, State, following

__all__ = ["CalledServer", "Check", "DrainFirst", "Event", "RegisteredServer", "ServerStatus", "State", "following"]
