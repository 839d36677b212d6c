"""The first rows of the official bitmaps, over HTTP: only the bytes needed, kept and resumed.

A class's file has some 100 MB; the first thousand drawings are 0.8 MB of it. What was fetched is
kept as the file's first bytes beside a note of the file's ETag and size. A later call that needs
more fetches the rest from there, as does one after a broken connection; when the server's file has
changed since (RFC 9110, section 13.1.5, If-Range), it starts over.
"""

from __future__ import annotations

import http.client
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

from exporter.training.datasets.dataset import DataError
from exporter.training.datasets.npy import HEADER_LIMIT, Header, parse_header

# https://github.com/googlecreativelab/quickdraw-dataset#get-the-data
OFFICIAL = "https://storage.googleapis.com/quickdraw_dataset/full/numpy_bitmap"
CHUNK = 64 * 1024
CONNECTIONS = 4
ATTEMPTS = 4
TIMEOUT_S = 30.0
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_BROKEN = (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError)


@dataclass(frozen=True)
class Note:
    """What the server said of a file when its first bytes were fetched.

    Attributes:
        etag: Names this content of the file; empty where the server gives none.
        size: Bytes of the whole file; -1 where it isn't known.
    """

    etag: str
    size: int


def fetch(
    names: Sequence[str],
    directory: Path,
    num_drawings: int,
    *,
    base_url: str = OFFICIAL,
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Make a directory hold at least the first rows of each class's file.

    Args:
        names: The classes.
        directory: Where the files are kept; made where it is missing.
        num_drawings: Rows a class.
        base_url: `<base_url>/<class>.npy` are the files.
        progress: Called with the number of classes done.

    Raises:
        DataError: A file isn't there, isn't one of drawings, has too few of them, or the
            connection broke again and again. What was fetched is kept.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        jobs = [
            pool.submit(_fetch_class, base_url, name, directory / f"{name}.npy", num_drawings)
            for name in names
        ]
        try:
            for done, job in enumerate(jobs, start=1):
                job.result()
                progress(done)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _fetch_class(base_url: str, name: str, path: Path, rows: int) -> None:
    url = f"{base_url.rstrip('/')}/{urllib.parse.quote(name)}.npy"
    for attempt in range(ATTEMPTS):
        try:
            while not _is_complete(path, rows):
                _fetch_more(url, path, rows)
            return
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code != 429:
                raise DataError(f"{url}: HTTP {error.code} {error.reason}") from error
            broken: Exception = error
        except _BROKEN as error:
            broken = error
        if attempt + 1 < ATTEMPTS:
            time.sleep(0.25 * 2**attempt)
    reason = getattr(broken, "reason", None) or broken
    raise DataError(
        f"{url}: {reason} ({ATTEMPTS} attempts; run it again to go on from where it stopped)"
    )


def _is_complete(path: Path, rows: int) -> bool:
    """Whether the kept bytes reach to the end of the rows; checks them on the way.

    Raises:
        DataError: They are no file of drawings, or the whole file has fewer.
    """
    if not path.exists():
        return False
    with path.open("rb") as file:
        start = file.read(HEADER_LIMIT)
    note = _read_note(path)
    if len(start) < HEADER_LIMIT and note.size != len(start):
        return False
    try:
        header = _checked(parse_header(start, str(path)), note, rows, path)
    except DataError:
        _forget(path)
        raise
    return path.stat().st_size >= header.end(rows)


def _checked(header: Header, note: Note, rows: int, path: Path) -> Header:
    if note.size >= 0 and note.size != header.size:
        raise DataError(
            f"{path.name}: {note.size} bytes on the server where its header means {header.size}"
        )
    if header.rows < rows:
        raise DataError(f"{path.name}: has {header.rows} drawings; {rows} are needed")
    return header


def _fetch_more(url: str, path: Path, rows: int) -> None:
    have = path.stat().st_size if path.exists() else 0
    note = _read_note(path)
    if have and not note.etag:  # nothing would tell whether the rest is of the same file
        _forget(path)
        have = 0
    end = Header(rows, HEADER_LIMIT).size
    if have:
        with path.open("rb") as file:
            start = file.read(HEADER_LIMIT)
        if len(start) == HEADER_LIMIT:
            end = parse_header(start, url).end(rows)
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-{end - 1}"})
    if have:
        request.add_header("If-Range", note.etag)
    with _open(request) as response:
        etag = response.headers.get("ETag", "")
        if response.status == http.HTTPStatus.PARTIAL_CONTENT:
            first, size = _content_range(response.headers.get("Content-Range", ""), url)
            if first != have:
                raise DataError(f"{url}: sent bytes from {first} where {have} was asked for")
        else:  # the whole file: no ranges here, or it has changed
            have, size = 0, int(response.headers.get("Content-Length", -1))
        _write_note(path, Note(etag, size))
        with path.open("r+b" if have else "wb") as file:
            file.seek(have)
            while have < end and (chunk := response.read(min(CHUNK, end - have))):
                file.write(chunk)
                have += len(chunk)
    if have < min(end, size):
        raise ConnectionError(f"the connection ended after {have} of {min(end, size)} bytes")


def _open(request: urllib.request.Request) -> AbstractContextManager[http.client.HTTPResponse]:
    opened: AbstractContextManager[http.client.HTTPResponse] = urllib.request.urlopen(
        request, timeout=TIMEOUT_S
    )
    return opened


def _content_range(text: str, url: str) -> tuple[int, int]:
    found = _CONTENT_RANGE.fullmatch(text)
    if not found:
        raise DataError(f"{url}: answered a range with Content-Range {text!r}")
    return int(found[1]), int(found[3])


def _note_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.json")


def _read_note(path: Path) -> Note:
    try:
        return Note(**json.loads(_note_path(path).read_text()))
    except (OSError, ValueError, TypeError):
        return Note("", -1)


def _write_note(path: Path, note: Note) -> None:
    _note_path(path).write_text(json.dumps(asdict(note)))


def _forget(path: Path) -> None:
    path.unlink(missing_ok=True)
    _note_path(path).unlink(missing_ok=True)
