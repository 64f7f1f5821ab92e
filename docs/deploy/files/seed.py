"""A seed: a node that the others know by its name. It registers nothing, and stays when services come and go."""

import signal

import pydoudou

ENDING = {signal.SIGTERM, signal.SIGINT}

signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)  # before there are threads, which inherit it
with pydoudou.new_node(register=False):
    signal.sigwait(ENDING)
