"""A person compares, on a page that this process serves: a click, or a key."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from robot_rl.exceptions import ConfigError
from robot_rl.rewards.preference.judges import Verdict

ANSWERS = {"first": Verdict(0, "ok"), "second": Verdict(1, "ok"), "unsure": Verdict(None, "unsure")}
LARGEST = 1000
"""Bytes of an answer."""
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Which is nearer the goal?</title>
<style>body{font:16px system-ui;margin:2em auto;max-width:70em;text-align:center}
.pair{display:flex;gap:1em;justify-content:center}.pair button{border:2px solid #ccc;background:none;padding:.4em;
cursor:pointer;width:48%}.pair button:hover,.pair button:focus{border-color:#1f5f99}img{width:100%;
image-rendering:pixelated}#say{margin:1em}</style>
<h1 id="task"></h1><p id="done"></p>
<div class="pair"><button onclick="say('first')"><img id="first" alt="first clip"><br>1: this one</button>
<button onclick="say('second')"><img id="second" alt="second clip"><br>2: this one</button></div>
<p id="say"><button onclick="say('unsure')">0: cannot tell</button></p>
<script>
let number=-1;
async function next(){for(;;){const r=await fetch('/pair');const p=await r.json();
 if(p.over){document.body.innerHTML='<h1>Thank you: that was all.</h1>';return}
 if(p.number>=0&&p.number!==number){number=p.number;
 document.getElementById('task').textContent='Which is nearer: '+p.task+'?';
 document.getElementById('done').textContent=(p.number+1)+' of '+p.total;
 for(const n of ['first','second'])document.getElementById(n).src='data:image/png;base64,'+p[n];return}
 await new Promise(f=>setTimeout(f,200))}}
async function say(answer){await fetch('/answer',{method:'POST',body:JSON.stringify({number,answer})});next()}
document.addEventListener('keydown',e=>{const a={'1':'first','2':'second','0':'unsure'}[e.key];if(a)say(a)});
next();
</script></html>"""


class HumanJudge:
    """Serves the page on this machine alone while it is open; `compare` waits for the person."""

    name = "human"

    def __init__(self, task: str, total: int, port: int = 0, stopped: Callable[[], bool] = lambda: False) -> None:
        """total: comparisons to come. port: 0: any that is free. Raises `ConfigError` where it is taken."""
        self._task, self._total, self._stopped = task, total, stopped
        self._changed = threading.Condition()
        self._pair: dict[str, Any] = {"number": -1}
        self._verdict: Verdict | None = None
        self._number = -1
        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        except OSError as error:
            raise ConfigError(f"port {port} cannot be served on ({error.strerror}); give another") from error
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, name="page", daemon=True)
        self._thread.start()

    def compare(self, first: bytes, second: bytes) -> Verdict:
        """What the person says. Raises `KeyboardInterrupt` where it was stopped meanwhile."""
        if first == second:
            return Verdict(None, "identical")
        with self._changed:
            self._number += 1
            shown = {"first": base64.b64encode(first).decode(), "second": base64.b64encode(second).decode()}
            self._pair = {"number": self._number, "total": self._total, "task": self._task, **shown}
            self._verdict = None
            while (verdict := self._heard()) is None:
                if self._stopped():
                    raise KeyboardInterrupt
                self._changed.wait(0.2)
            return verdict

    def _heard(self) -> Verdict | None:
        return self._verdict

    def __enter__(self) -> HumanJudge:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._pair = {"number": -1, "over": True}
        threading.Event().wait(0.5)  # the page asks once more
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _take(self, data: bytes) -> bool:
        """An answer from the page; whether it is one, to the pair that is shown."""
        try:
            said = json.loads(data)
            number, verdict = int(said["number"]), ANSWERS[said["answer"]]
        except (ValueError, LookupError, TypeError):
            return False
        with self._changed:
            if number != self._pair.get("number") or self._verdict is not None:
                return False
            self._verdict = verdict
            self._changed.notify_all()
        return True

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        judge = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/pair":
                    self._reply(200, json.dumps(judge._pair).encode(), "application/json")
                elif self.path == "/":
                    self._reply(200, PAGE.encode(), "text/html; charset=utf-8")
                else:
                    self._reply(404, b"no such page", "text/plain")

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                taken = self.path == "/answer" and 0 < length <= LARGEST and judge._take(self.rfile.read(length))
                self._reply(200 if taken else 409, b"{}", "application/json")

            def _reply(self, status: int, body: bytes, kind: str) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Cache-Control", "no-store")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Standard error is for the progress bar."""

        return Handler
