"""A web server for the snippet's tests: it serves pages with martlet.js, and records what they send to `/v1/batch`.

What it answers to a batch is scripted: by default `200`, as ingestion does.
"""

import json
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<link rel="icon" href="data:,"></head><body>{body}{install}</body></html>"""


class RecordingServer:
    """Pages by path, and every batch that came, in order."""

    def __init__(self, snippet):
        self.snippet = snippet
        self.pages = {}
        self.batches = []
        self.requests = []
        self.answers = []
        self.lock = threading.Lock()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                owner.get(self)

            def do_POST(self):
                owner.post(self)

            def log_message(self, *arguments):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.port = self.http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self):
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self):
        self.http.shutdown()
        self.http.server_close()

    def page(self, path, body="", install="", title="Shop"):
        """Serves a page at a path, with the snippet's install line at its end; returns its URL."""
        self.pages[path] = PAGE.format(title=title, body=body, install=install)
        return self.url + path

    def answer_next(self, *answers):
        """The next batches get these answers, each a status with headers."""
        with self.lock:
            self.answers += answers

    @property
    def events(self):
        """Every item that was accepted, as often as it came."""
        with self.lock:
            return [item for batch in self.batches if batch["status"] == 200 for item in batch["body"]["batch"]]

    def get(self, handler):
        path = urllib.parse.urlsplit(handler.path).path
        if path == "/v1/martlet.js":
            content, kind = self.snippet.read_bytes(), "text/javascript; charset=utf-8"
        elif path in self.pages:
            content, kind = self.pages[path].encode(), "text/html; charset=utf-8"
        else:
            return self.respond(handler, 404, b"", "text/plain")
        return self.respond(handler, 200, content, kind)

    def post(self, handler):
        body = handler.rfile.read(int(handler.headers["content-length"]))
        with self.lock:
            self.requests.append(handler.path)
            status, headers = self.answers.pop(0) if self.answers else (200, {})
            batch = json.loads(body)
            self.batches.append({
                "path": handler.path, "body": batch, "bytes": len(body), "status": status,
                "headers": {name.lower(): value for name, value in handler.headers.items()}})
        items = [{"messageId": item["messageId"], "status": "accepted"} for item in batch["batch"]]
        answer = {"success": True, "received": len(items), "accepted": len(items), "duplicate": 0, "refused": 0,
                  "items": items}
        self.respond(handler, status, json.dumps(answer).encode(), "application/json",
                     {"access-control-allow-origin": "*", "access-control-expose-headers": "retry-after"} | headers)

    @staticmethod
    def respond(handler, status, content, kind, headers=None):
        try:
            handler.send_response(status)
            for name, value in ({"content-type": kind, "content-length": str(len(content))} | (headers or {})).items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(content)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the page has gone
