"""A Nacos server, through ``nacos-sdk-python``. Importing this package imports neither the SDK nor gRPC."""

from . import plugin
from .driver import NacosDriver
from .settings import NacosSettings

__all__ = ["NacosDriver", "NacosSettings", "plugin"]
