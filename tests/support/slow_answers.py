"""Answers of a server that a page gets late, and in the order that a test wants: no clock is involved."""

from __future__ import annotations

from typing import Any

__all__ = ["SlowAnswers"]

# The whole answer is read before it is held: nothing is left to wait for when it is let go, so that what the page does
# with it is done before the next task of the page begins.
_SCRIPT = """
const fetched = window.fetch;
window.heldBack = location.protocol === "about:" ? "" : sessionStorage.getItem("held back") ?? "";
window.held = [];
window.fetch = async (path, options) => {
  const back = window.heldBack && String(path).includes(window.heldBack);
  const answer = await fetched(path, options), body = await answer.text();
  if (back) await new Promise((go, stop) => window.held.push({ go, stop }));
  const { ok, status, headers } = answer;
  return { ok, status, headers, json: async () => JSON.parse(body), text: async () => body };
};
"""


class SlowAnswers:
    """Holds back answers to what a page asks by `fetch`; to be made before the page goes anywhere."""

    def __init__(self, page: Any) -> None:
        self._page = page
        page.add_init_script(f"(() => {{ {_SCRIPT} }})()")

    def hold(self, part: str) -> None:
        """Hold the answers to what is asked from now on, at addresses with this part; "" ends it. A reload keeps it."""
        self._page.evaluate("part => { window.heldBack = part; sessionStorage.setItem('held back', part); }", part)

    def wait(self, count: int) -> None:
        """Wait until so many are held."""
        self._page.wait_for_function("count => window.held.length === count", arg=count)

    def let_go(self, *, failed: bool = False) -> None:
        """Give the page the oldest one, or a broken connection in its place, and wait until it has dealt with it."""
        self._page.evaluate(
            """failed => {
              const { go, stop } = window.held.shift();
              if (failed) stop(new TypeError("the connection broke")); else go();
              return new Promise((done) => setTimeout(done));
            }""",
            failed,
        )
