"""A hub on this machine: of the API of the Hugging Face hub what publishing and fetching needs.

The client is huggingface_hub itself.
"""

import base64
import hashlib
import http.server
import json
import re
import threading
import urllib.parse

REPOSITORY = "owner/models"


class HubServer:
    """One repository with one branch.

    Attributes:
        commits: Files by path of each commit, by its id, in order.
        fault: Called with the method and the path of a request; returns a status to refuse with,
            "lost answer" to do what is asked and say nothing, or None.
        requests: `(method, path)` of all requests so far.
        before_commit: Called before a commit is taken.
    """

    def __init__(self):
        self.commits = {_digest("first"): {}}
        self.fault = lambda method, path: None
        self.before_commit = lambda: None
        self.requests = []
        self.lock = threading.Lock()
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def _handle(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path = urllib.parse.unquote(self.path.partition("?")[0])
                hub.requests.append((self.command, path))
                fault = hub.fault(self.command, path)
                if isinstance(fault, int):
                    return self._say(fault, b"{}")
                answer = hub.answer(self.command, path, body)
                if fault == "lost answer":
                    self.close_connection = True
                    return None
                return self._say(*answer)

            def _say(self, status, body, headers=()):
                self.send_response(status)
                for name, value in dict(headers).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_HEAD = do_POST = _handle

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    @property
    def head(self):
        return list(self.commits)[-1]

    def delete(self, folder):
        """Commits that a folder is gone."""
        files = self.commits[self.head]
        self._commit({k: v for k, v in files.items() if not k.startswith(f"{folder}/")})

    def answer(self, method, path, body):
        """Returns status, body and headers of the answer to a request."""
        api = f"/api/models/{REPOSITORY}"
        if match := re.fullmatch(f"{api}(/revision/(?P<revision>.+))?", path):
            commit = self._resolve(match["revision"] or "main")
            return _json({"id": REPOSITORY, "sha": commit, "siblings": []})
        if match := re.fullmatch(f"{api}/tree/([^/]+)/?(.*)", path):
            return self._tree(self.commits[self._resolve(match[1])], match[2])
        if re.fullmatch(f"{api}/preupload/.+", path):
            files = json.loads(body)["files"]
            return _json(
                {
                    "files": [
                        {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                        for f in files
                    ]
                }
            )
        if method == "POST" and re.fullmatch(f"{api}/commit/.+", path):
            return self._take(body)
        if match := re.fullmatch(f"/{REPOSITORY}/resolve/([^/]+)/(.+)", path):
            return self._file(match[1], match[2])
        return _missing("RepoNotFound")

    def _resolve(self, revision):
        return self.head if revision == "main" else revision

    def _tree(self, files, folder):
        found = [
            {"type": "file", "path": name, "size": len(content), "oid": _oid(content)}
            for name, content in files.items()
            if not folder or name.startswith(f"{folder}/")
        ]
        return _json(found) if found or not folder else _missing("EntryNotFound")

    def _file(self, revision, name):
        content = self.commits.get(self._resolve(revision), {}).get(name)
        if content is None:
            return _missing("EntryNotFound")
        return 200, content, {"X-Repo-Commit": revision, "ETag": f'"{_oid(content)}"'}

    def _take(self, body):
        lines = [json.loads(line) for line in body.splitlines()]
        header = next(line["value"] for line in lines if line["key"] == "header")
        self.before_commit()
        with self.lock:
            if header.get("parentCommit") not in (None, self.head):
                return 412, b"{}", {}
            files = dict(self.commits[self.head])
            for line in lines:
                if line["key"] == "file":
                    files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            commit = self._commit(files)
        return _json(
            {"success": True, "commitOid": commit, "commitUrl": f"{self.url}/commit/{commit}"}
        )

    def _commit(self, files):
        commit = _digest(f"{len(self.commits)}")
        self.commits[commit] = files
        return commit


def _digest(text):
    return hashlib.sha1(text.encode()).hexdigest()


def _oid(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _json(value):
    return 200, json.dumps(value).encode(), {"Content-Type": "application/json"}


def _missing(code):
    return 404, b"{}", {"X-Error-Code": code}
