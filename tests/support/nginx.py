"""An nginx in front of the members of a service, as somebody would run it who has no client-side balancing."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

import httpx
from support.driven import spawn
from support.waiting import eventually

__all__ = ["Nginx", "nginx_program"]

_CONFIGURATION = """\
daemon off;
pid {folder}/nginx.pid;
error_log stderr crit;
{user}
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream orders {{
{servers}
    keepalive 32;
  }}
  server {{
    listen 127.0.0.1:{port};
    location = /healthz {{ return 200 ok; }}
    location / {{
      proxy_pass http://orders;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_connect_timeout {attempt_ms}ms;
      proxy_read_timeout {attempt_ms}ms;
      proxy_next_upstream_timeout {deadline}s;
    }}
  }}
}}
"""


def nginx_program() -> str | None:
    """Where nginx is, or None; Debian has it outside of an ordinary user's path."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


class Nginx:
    """Balances over the addresses it was last told, and moves on by its own default rules (``error timeout``).

    Args:
        folder: where its files go.
        attempt_seconds, deadline: the times of one attempt and of all, the same as those of who it is compared with.
    """

    def __init__(self, folder: Path, attempt_seconds: float, deadline: float) -> None:
        program = nginx_program()
        assert program is not None
        self._program, self._folder = program, folder
        self._attempt_ms, self._deadline = round(attempt_seconds * 1000), round(deadline)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port: int = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}/"
        self._process: subprocess.Popen[bytes] | None = None

    def balance(self, addresses: Iterable[str]) -> None:
        """Send the requests to these addresses from now on. The first call starts it."""
        servers = "".join(f"    server {address};\n" for address in addresses)
        user = "user root;" if os.geteuid() == 0 else ""
        (self._folder / "nginx.conf").write_text(
            _CONFIGURATION.format(
                folder=self._folder,
                user=user,
                servers=servers,
                port=self._port,
                attempt_ms=self._attempt_ms,
                deadline=self._deadline,
            )
        )
        if self._process is None:
            command = [self._program, "-e", "stderr", "-p", str(self._folder), "-c", str(self._folder / "nginx.conf")]
            self._process = spawn(command)
            eventually(self._answers, timeout=10)
        else:
            self._process.send_signal(signal.SIGHUP)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}healthz", timeout=1).status_code == 200
        except httpx.TransportError:
            return False

    def __enter__(self) -> Nginx:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            assert self._process.stdin is not None
            self._process.stdin.close()
