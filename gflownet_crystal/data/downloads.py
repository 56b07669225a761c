"""Downloads that go on where they stopped and are checked against a digest before they appear under their name."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.files import read_json, write_json, write_text
from gflownet_crystal.data.public_sets import RemoteFile

TIMEOUT = 60.0
"""Seconds without an answer after which a download fails."""

# of an interrupted answer the last chunk is lost
_CHUNK = 1 << 16
_WHOLE, _PART = 200, 206

Report = Callable[[int, int | None], None]
"""Receives the number of bytes on disk so far, and of all bytes where the server says it."""


def fetch(file: RemoteFile, folder: Path, report: Report | None = None, timeout: float = TIMEOUT) -> Path:
    """Download a file unless it is there; a part that an earlier call left is completed.

    Args:
        file: file to download.
        folder: folder to put it in, made if missing.
        report: receives the progress.
        timeout: seconds to wait for an answer.

    Returns:
        Path of the file, whose digest is the one that is known.

    Raises:
        DataError: there is no connection, the server refuses, the digest differs, or the folder cannot be written.
    """
    import pooch
    import requests

    # it would announce each download and digest in lines of its own
    pooch.get_logger().setLevel(logging.WARNING)
    path, recorded = folder / file.name, folder / f".{file.name}.sha256"
    download = _Download(file, folder, report, timeout)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        known = file.digest or _recorded(recorded)
        for attempt in ("resumed", "whole"):
            try:
                pooch.retrieve(file.url, known, fname=file.name, path=folder, downloader=download)
                break
            except (DataError, requests.RequestException):
                raise
            except ValueError as error:
                # a part of an older file, completed with bytes of a newer one, is wrong as a whole
                if attempt == "resumed" and download.resumed:
                    continue
                raise DataError(_wrong_digest(file, known, path)) from error
        if known is None:
            write_text(recorded, f"sha256:{pooch.file_hash(str(path))}\n")
    except OSError as error:  # requests' errors are among them
        raise DataError(_failure(file, path, error)) from error
    return path


def _recorded(path: Path) -> str | None:
    """Digest of the first download; None before it."""
    return path.read_text(encoding="utf-8").strip() if path.is_file() else None


class _Download:
    """pooch's downloader: writes to a hidden file, which a later call completes by an HTTP range request.

    Attributes:
        resumed: whether the last download began with bytes of an earlier one.
    """

    def __init__(self, file: RemoteFile, folder: Path, report: Report | None, timeout: float) -> None:
        self.file, self.report, self.timeout = file, report, timeout
        self.part, self.tag = folder / f".{file.name}.part", folder / f".{file.name}.part.json"
        self.resumed = False

    def __call__(self, url: str, output_file: Any, pooch: Any) -> None:
        """Download ``url`` to the path ``output_file``."""
        import requests

        headers = self._range()
        with requests.get(url, headers=headers, stream=True, timeout=self.timeout) as answer:
            if answer.status_code == requests.codes.requested_range_not_satisfiable:
                self.forget()
                self(url, output_file, pooch)
                return
            if answer.status_code not in (_WHOLE, _PART):
                raise requests.HTTPError(f"the server answers {answer.status_code} {answer.reason}")
            self.resumed = answer.status_code == _PART
            self._write(answer)
        os.replace(self.part, output_file)
        self.forget()

    def forget(self) -> None:
        """Delete the part of the file that is there."""
        self.part.unlink(missing_ok=True)
        self.tag.unlink(missing_ok=True)

    def _range(self) -> dict[str, str]:
        """Headers that ask for the rest of the file, or for all of it."""
        # a compressed answer would count other bytes than the file's
        headers = {"Accept-Encoding": "identity"}
        size = self.part.stat().st_size if self.part.is_file() else 0
        version = self._version() if size else None
        if size and (version or self.file.digest):
            headers["Range"] = f"bytes={size}-"
            if version:
                headers["If-Range"] = version
        return headers

    def _version(self) -> str | None:
        """The server's name for the version of the file that there is a part of."""
        try:
            return str(read_json(self.tag)["version"] or "") or None
        except (DataError, KeyError, TypeError):
            return None

    def _write(self, answer: Any) -> None:
        done = self.part.stat().st_size if self.resumed else 0
        length = answer.headers.get("Content-Length", "")
        total = done + int(length) if length.isdigit() else None
        version = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
        # a weak tag does not promise the same bytes
        write_json(self.tag, {"version": None if (version or "").startswith("W/") else version})
        with self.part.open("ab" if self.resumed else "wb") as out:
            for chunk in answer.iter_content(_CHUNK):
                out.write(chunk)
                done += len(chunk)
                if self.report is not None:
                    self.report(done, total)
        if total is not None and done != total:
            raise OSError(f"the connection ended after {done} of {total} bytes")


def _wrong_digest(file: RemoteFile, known: str | None, path: Path) -> str:
    return (
        f"{file.url} is not the file that is known by {known}: the download was damaged or the file was replaced; "
        f"nothing was kept of it as {path}. Try again later, or put a file with that digest there by hand"
    )


def _failure(file: RemoteFile, path: Path, error: OSError) -> str:
    """One line on a download that failed."""
    import requests

    if isinstance(error, requests.HTTPError):
        reason = str(error)
    elif isinstance(error, requests.Timeout):
        reason = "the server does not answer in time"
    elif isinstance(error, requests.exceptions.ChunkedEncodingError):
        reason = "the connection was interrupted; the same command goes on from there"
    elif isinstance(error, requests.ConnectionError):
        reason = "no connection; check the network and its proxy settings"
    elif isinstance(error, requests.RequestException):
        reason = str(error)
    else:
        reason = f"{error.strerror or error}; the same command goes on from there"
    return f"cannot download {file.url}: {reason}. A file fetched by other means can be put at {path}"
