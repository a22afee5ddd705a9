"""A chat service in place of a model: OpenAI's protocol over a real connection; it measures the pictures it is sent."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import random
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image

Measure = Callable[[np.ndarray], float]


def column_of_the_square(picture: np.ndarray) -> float:
    """How far right the bright square is: the goal is at the right."""
    bright = picture.astype(float).sum(-1) > 450
    return float(np.nonzero(bright)[1].mean() / picture.shape[1]) if bright.any() else 0.0


@dataclass
class Manners:
    """How the service behaves. wrong, unsure, prose: shares of the answers; statuses: to send first, one a request."""

    wrong: float = 0.0
    unsure: float = 0.0
    prose: float = 0.0
    malformed: bool = False
    slow: float = 0.0
    key: str = ""
    largest: int = 10_000_000
    models: tuple[str, ...] = ("looker",)
    statuses: list[int] = field(default_factory=list)
    retry_after: str = "0.01"


class Service:
    """`with Service(...) as service:`; `service.url` is the endpoint; `requests` counts what came."""

    def __init__(self, manners: Manners | None = None, measure: Measure = column_of_the_square, seed: int = 0) -> None:
        self.manners, self.measure = manners or Manners(), measure
        self.requests: list[dict[str, Any]] = []
        self._random, self._lock = random.Random(seed), threading.Lock()

    def __enter__(self) -> Service:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, body: dict[str, Any]) -> str:
        """What the model says."""
        content: Any = body["messages"][-1]["content"]
        parts: Any = [{"type": "text", "text": content}] if isinstance(content, str) else content
        text = "\n".join(part["text"] for part in parts if part["type"] == "text")
        seen = [self.measure(_picture(part["image_url"]["url"])) for part in parts if part["type"] == "image_url"]
        if "from 0, nothing of it" in text:
            return "Hard to say." if self._drawn() < self.manners.prose else str(round(100 * min(1.0, seen[0])))
        if seen and "Reply with a single line" not in text:
            return f"Image 1 shows {seen[0]:.4f} of the way. Image 2 shows {seen[1]:.4f} of the way."
        if not seen:
            seen = [float(number) for number in re.findall(r"shows ([\d.]+) of the way", text)]
        drawn = self._drawn()
        m = self.manners
        if drawn < m.prose:
            return "I would rather not choose, both pictures are lovely."
        if drawn < m.prose + m.unsure or abs(seen[0] - seen[1]) < 1e-4:
            return "-1"
        better = int(seen[1] > seen[0])
        return str(1 - better if drawn < m.prose + m.unsure + m.wrong else better)

    def _drawn(self) -> float:
        with self._lock:
            return self._random.random()


def _picture(url: str) -> np.ndarray:
    head, _, data = url.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data, validate=True))).convert("RGB"))


def _handler(service: Service) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(service.manners.slow)
            self._reply(*self._answered(service.manners, data))

        def _answered(self, m: Manners, data: bytes) -> tuple[int, object]:
            if m.key and self.headers.get("Authorization") != f"Bearer {m.key}":
                return 401, {"error": {"message": "Incorrect API key provided"}}
            if len(data) > m.largest:
                return 413, {"error": {"message": "payload too large"}}
            if m.statuses:
                return m.statuses.pop(0), {"error": {"message": "try later"}}
            body = json.loads(data)
            service.requests.append(body)
            if self.path != "/v1/chat/completions" or body["model"] not in m.models:
                return 404, {"error": {"message": f"no model {body['model']}"}}
            if m.malformed:
                return 200, {"choices": []}
            message = {"role": "assistant", "content": service.answer(body)}
            usage = {"prompt_tokens": 1000, "completion_tokens": 10}
            return 200, {"choices": [{"message": message}], "usage": usage}

        def _reply(self, status: int, body: object) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            if status == 429 or status >= 500:
                self.send_header("Retry-After", service.manners.retry_after)
            self.end_headers()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # whoever asked has given up
                self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Tests are quiet."""

    return Handler
