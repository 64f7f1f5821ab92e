"""The one error that reading bytes from the network may raise. It belongs to the protocol, not to the product: this
package stands on its own.
"""

__all__ = ["ProtocolError"]


class ProtocolError(Exception):
    """What arrived is not allowed by the protocol, or not by our bounds.

    It never leaves `Swim`, which counts and reports it; only functions that decode a single layer raise it.
    """
