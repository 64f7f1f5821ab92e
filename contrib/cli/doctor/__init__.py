"""``pydoudou doctor``: what is wrong with a configuration, this machine, the cluster or the Nacos server, in words.

    situation   what is to be looked at: the variables as they were read
    variables   wrong, unknown and contradicting values
    machine     addresses, ports, interfaces, clock, containers, several workers
    seeds       do the gossip nodes that the variables name answer, and if not, why?
    cluster     what a process that joins to look sees
    nacos       the servers, the login, what may be read
    running     all checks at once, each within its time

A check is a function that gives findings, and knows nothing of the others.
"""

from .command import doctor

__all__ = ["doctor"]
