"""One gossip node and one Nacos session for all workers of a host: a process that the first of them starts."""

from .sharing import among_workers, is_worker, shared

__all__ = ["among_workers", "is_worker", "shared"]
