"""One call over several members, for whatever client: which member, what after a failure, how long; pure.

Nothing in here imports a client library, has a clock or a thread. Clients translate their exceptions, timeouts and
streams, and pass the time in.
"""
