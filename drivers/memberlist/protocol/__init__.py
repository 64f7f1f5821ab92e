"""The gossip protocol without I/O: no sockets, no clock, no tasks, no randomness of its own."""

from .config import Config
from .dialect import Dialect
from .encryption import Keyring
from .events import Node
from .hooks import Hooks
from .messages import State
from .swim import Effects, Swim

__all__ = ["Config", "Dialect", "Effects", "Hooks", "Keyring", "Node", "State", "Swim"]
