"""A web server of files that understands ranges, as Google's public storage does."""

import hashlib
import http.server
import re
import threading
import urllib.parse


class RangeServer:
    """Serves bytes by path over HTTP/1.1 and keeps a record of what was asked and sent.

    Attributes:
        files: Content by path.
        requests: `(path, Range header, If-Range header)` of each request.
        sent: Bytes of bodies.
        supports_ranges: Whether it honours them.
        break_after: The next answers end after so many bytes each, one entry an answer.
        failures: Statuses of the next answers, before any content.
    """

    def __init__(self):
        self.files, self.requests, self.sent = {}, [], 0
        self.supports_ranges, self.break_after, self.failures = True, [], []
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def _handler(server):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                path = urllib.parse.unquote(self.path)
                wanted, condition = self.headers.get("Range"), self.headers.get("If-Range")
                server.requests.append((path, wanted, condition))
                if server.failures:
                    return self.send_error(server.failures.pop(0))
                if path not in server.files:
                    return self.send_error(404)
                content = server.files[path]
                etag = f'"{hashlib.md5(content).hexdigest()}"'
                first, last = 0, len(content) - 1
                is_partial = server.supports_ranges and wanted and condition in (None, etag)
                if is_partial:
                    found = re.fullmatch(r"bytes=(\d+)-(\d+)", wanted)
                    first, last = int(found[1]), min(int(found[2]), last)
                    if first > last:
                        return self.send_error(416)
                body = content[first : last + 1]
                self.send_response(206 if is_partial else 200)
                self.send_header("ETag", etag)
                self.send_header("Content-Length", str(len(body)))
                if is_partial:
                    self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
                self.end_headers()
                if server.break_after:
                    body = body[: server.break_after.pop(0)]
                    self.close_connection = True
                try:
                    self.wfile.write(body)
                except ConnectionError:  # the client has what it needs
                    self.close_connection = True
                server.sent += len(body)

            def log_message(self, *_):
                pass

        return Handler
