"""A page in chromium, driven over the pipe of its DevTools protocol."""

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
_KEYS = {"Enter": 13, "Escape": 27, "Tab": 9, "ArrowRight": 39, "ArrowLeft": 37, "ArrowDown": 40}


class Page:
    """A page of a browser, and what it logged and requested."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from, self._last, self._rest = to_browser, from_browser, 0, b""
        self.events: list[dict[str, Any]] = []
        self.session: str | None = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol; return its result."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._last:
            self.events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return dict(answer["result"])

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            if not (read := os.read(self._from, 1 << 20)):
                raise RuntimeError("chromium has gone")
            self._rest += read
        message, self._rest = self._rest.split(b"\0", 1)
        return dict(json.loads(message))

    def open(self, page: Path) -> None:
        """Load a page and wait until it has."""
        known = len(self.events)
        self.call("Page.navigate", url=page.as_uri())
        while not any(e.get("method") == "Page.loadEventFired" for e in self.events[known:]):
            self.events.append(self._next())

    def run(self, script: str) -> Any:
        """Return an expression's value on the page."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in found:
            raise RuntimeError(json.dumps(found["exceptionDetails"])[:2000])
        return found["result"].get("value")

    def wait_for(self, script: str, seconds: float = 20) -> None:
        """Wait until an expression is true."""
        until = time.monotonic() + seconds
        while not self.run(script):
            if time.monotonic() > until:
                raise TimeoutError(script)
            time.sleep(0.05)

    def press(self, key: str) -> None:
        """Press a key and let it go."""
        code = {"windowsVirtualKeyCode": _KEYS[key], "key": key, "code": key}
        text = {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **code, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **code)

    def look(self, width: int, scheme: str) -> None:
        """Show the page at a width in CSS pixels, light or dark."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.call("Emulation.setEmulatedMedia", features=[feature])

    def picture(self) -> bytes:
        """Return what is seen, as a PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot")["data"])

    def complaints(self) -> list[str]:
        """Return the console's errors and warnings, and exceptions."""
        said = []
        for event in self.events:
            method, params = event.get("method"), event.get("params", {})
            if method == "Runtime.exceptionThrown":
                said.append(str(params["exceptionDetails"].get("exception", {})))
            elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
                said.append(str(params["args"]))
            elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
                said.append(params["entry"]["text"])
        return said

    def requested(self) -> set[str]:
        """Return the addresses that were requested, but for the page's own data."""
        sent = (e for e in self.events if e.get("method") == "Network.requestWillBeSent")
        urls = {e["params"]["request"]["url"] for e in sent}
        return {url for url in urls if not url.startswith(("file:", "data:", "blob:"))}


@contextmanager
def browser(folder: Path) -> Iterator[Page]:
    """Start a browser with an empty profile in a folder, and end it."""
    assert CHROMIUM is not None
    (theirs_in, mine_out), (mine_in, theirs_out) = os.pipe(), os.pipe()

    def as_3_and_4() -> None:
        fds = [os.dup(theirs_in), os.dup(theirs_out)]
        high = [os.dup2(fd, 100 + i) for i, fd in enumerate(fds)]
        os.dup2(high[0], 3)
        os.dup2(high[1], 4)

    started = subprocess.Popen(
        [CHROMIUM, *_FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"],
        pass_fds=(3, 4), preexec_fn=as_3_and_4, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        yield Page(mine_out, mine_in)
    finally:
        started.kill()
        started.wait()
        os.close(mine_out)
        os.close(mine_in)
