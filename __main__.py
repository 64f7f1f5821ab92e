"""``python -m pydoudou``, and the command ``pydoudou``."""

import signal

__all__ = ["main"]


def main() -> None:
    """Run the command line. To a Ctrl-C while modules are loaded, and at the very end, Python would answer by a
    traceback of wherever it is: the process just ends then, as by that signal. Where it is ignored it stays so.
    """
    heeded = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heeded:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from pydoudou.contrib.cli import main as commands

    if heeded:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        commands()
    finally:
        if heeded:
            signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    main()
