"""A server of files on this machine that can do what servers far away do wrong."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Files:
    """Files and behaviour of the server.

    Attributes:
        content: bytes by name.
        url: address of the server, without a slash at its end.
        ranges: answer range requests with the rest of the file.
        tag: version of the files, sent as ETag; empty for none.
        cut: end a connection after so many bytes of an answer, once for each number.
        status: status to answer all requests with; 0 for the right one.
        asked: name and Range header of each request.
    """

    content: dict[str, bytes]
    url: str = ""
    ranges: bool = True
    tag: str = '"one"'
    cut: list[int] = field(default_factory=list)
    status: int = 0
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@contextlib.contextmanager
def serving(content: dict[str, bytes]) -> Iterator[Files]:
    """Serve files under 127.0.0.1 until the block ends."""
    files = Files(content)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name, wanted = self.path.lstrip("/"), self.headers["Range"]
            files.asked.append((name, wanted))
            data = files.content.get(name)
            if data is None or files.status:
                self.send_error(files.status or 404)
                return
            known = self.headers["If-Range"]
            first = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
            partial = bool(wanted) and files.ranges and (known is None or known == files.tag)
            if partial and first >= len(data):
                self.send_error(416)
                return
            body = data[first:] if partial else data
            self.send_response(206 if partial else 200)
            if files.tag:
                self.send_header("ETag", files.tag)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: files.cut.pop(0)] if files.cut else body)

        def log_message(self, *_: Any) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    files.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield files
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
