"""A server that speaks as much of OpenAI's protocol as captions need, and misbehaves when told."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = Callable[[dict[str, Any], int], tuple[int, str]]  # a request, its number -> status, caption


class Asked:
    """What a server was asked.

    Attributes
    ----------
    bodies, keys : of each request
    """

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str | None] = []

    @property
    def prompts(self) -> list[str]:
        """The prompts, without the instruction above them."""
        return [body["messages"][0]["content"].partition("\n\n")[2] for body in self.bodies]


def echo(body: dict[str, Any], _: int) -> tuple[int, str]:
    """Answer with a caption that no other prompt gets."""
    *_, last = body["messages"][0]["content"].splitlines()
    words = " ".join(f"w{digit}x{i}" for i, digit in enumerate(str(body["seed"])))
    return 200, f"A {last.removesuffix(' =>').replace(', ', ' ')} {words}"


@contextmanager
def server(reply: Reply = echo, retry_after: str | None = None) -> Iterator[Asked]:
    """Serve on a port of this machine."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                asked.bodies.append(body)
                asked.keys.append(self.headers["Authorization"])
                status, text = reply(body, len(asked.bodies))
            content = json.dumps({"choices": [{"message": {"content": text}}]}).encode()
            self.send_response(status)
            if retry_after is not None and status != 200:
                self.send_header("Retry-After", retry_after)
            self.end_headers()
            self.wfile.write(content if status == 200 else text.encode())

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    asked = Asked(f"http://127.0.0.1:{http.server_port}/v1")
    threading.Thread(target=http.serve_forever, daemon=True).start()
    try:
        yield asked
    finally:
        http.shutdown()
        http.server_close()
