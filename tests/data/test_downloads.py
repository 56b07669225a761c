"""Downloads from a server on this machine: interrupted, damaged, refused, replaced, and already there."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.data.downloads import fetch
from gflownet_crystal.data.public_sets import RemoteFile
from tests.data.file_server import Files, serving

CONTENT = bytes(range(256)) * 4000
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[Files]:
    with serving({"a.bin": CONTENT}) as files:
        yield files


def remote(server: Files, digest: str | None = SHA256) -> RemoteFile:
    return RemoteFile("a.bin", f"{server.url}/a.bin", digest)


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("digest", [SHA256, f"md5:{hashlib.md5(CONTENT).hexdigest()}", None])
def test_a_file_is_downloaded_once(server: Files, tmp_path: Path, digest: str | None) -> None:
    for _ in range(2):
        assert fetch(remote(server, digest), tmp_path).read_bytes() == CONTENT
    assert server.asked == [("a.bin", None)]
    assert left_in(tmp_path) == ([".a.bin.sha256"] if digest is None else []) + ["a.bin"]


def test_progress_is_bytes_on_disk_of_all_bytes(server: Files, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    fetch(remote(server), tmp_path, lambda done, total: told.append((done, total)))
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in told] == sorted(done for done, _ in told)


@pytest.mark.parametrize("digest", [SHA256, None])
def test_an_interrupted_download_goes_on_where_it_stopped(
    server: Files, tmp_path: Path, digest: str | None
) -> None:
    server.cut = [300_000]
    with pytest.raises(DataError, match="goes on from there"):
        fetch(remote(server, digest), tmp_path)
    assert not (tmp_path / "a.bin").exists()
    kept = (tmp_path / ".a.bin.part").read_bytes()
    assert len(kept) > 200_000 and CONTENT.startswith(kept)
    assert fetch(remote(server, digest), tmp_path).read_bytes() == CONTENT
    assert server.asked == [("a.bin", None), ("a.bin", f"bytes={len(kept)}-")]
    assert not list(tmp_path.glob(".a.bin.part*"))


def test_a_server_without_ranges_is_read_from_the_start(server: Files, tmp_path: Path) -> None:
    server.cut, server.ranges = [300_000], False
    with pytest.raises(DataError):
        fetch(remote(server), tmp_path)
    assert fetch(remote(server), tmp_path).read_bytes() == CONTENT


def test_without_a_digest_or_version_nothing_is_joined(server: Files, tmp_path: Path) -> None:
    server.cut, server.tag = [300_000], ""
    with pytest.raises(DataError):
        fetch(remote(server, None), tmp_path)
    server.content["a.bin"] = CONTENT[::-1]
    assert fetch(remote(server, None), tmp_path).read_bytes() == CONTENT[::-1]
    assert [wanted for _, wanted in server.asked] == [None, None]


def test_a_file_that_was_replaced_meanwhile_is_read_from_the_start(server: Files, tmp_path: Path) -> None:
    server.cut = [300_000]
    with pytest.raises(DataError):
        fetch(remote(server, None), tmp_path)
    server.content["a.bin"], server.tag = CONTENT[::-1], '"two"'
    assert fetch(remote(server, None), tmp_path).read_bytes() == CONTENT[::-1]


def test_a_damaged_part_is_thrown_away_and_the_file_read_from_the_start(
    server: Files, tmp_path: Path
) -> None:
    server.cut = [300_000]
    with pytest.raises(DataError):
        fetch(remote(server), tmp_path)
    part = tmp_path / ".a.bin.part"
    size = part.stat().st_size
    part.write_bytes(b"x" * size)
    assert fetch(remote(server), tmp_path).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == [None, f"bytes={size}-", None]


def test_a_part_longer_than_the_file_is_thrown_away(server: Files, tmp_path: Path) -> None:
    (tmp_path / ".a.bin.part").write_bytes(b"x" * (len(CONTENT) + 5))
    assert fetch(remote(server), tmp_path).read_bytes() == CONTENT


def test_a_wrong_digest_is_refused_and_nothing_is_left(server: Files, tmp_path: Path) -> None:
    wrong = RemoteFile("a.bin", f"{server.url}/a.bin", "sha256:" + "0" * 64)
    with pytest.raises(DataError, match="is not the file that is known by sha256:0000") as caught:
        fetch(wrong, tmp_path)
    assert "\n" not in str(caught.value)
    assert left_in(tmp_path) == []


def test_the_first_digest_is_kept_where_none_is_published(server: Files, tmp_path: Path) -> None:
    fetch(remote(server, None), tmp_path)
    assert (tmp_path / ".a.bin.sha256").read_text().strip() == SHA256
    # damaged on the disk: fetched again
    (tmp_path / "a.bin").write_bytes(b"damaged")
    assert fetch(remote(server, None), tmp_path).read_bytes() == CONTENT
    # damaged, and replaced by another at its address
    (tmp_path / "a.bin").write_bytes(b"damaged")
    server.content["a.bin"] = CONTENT[::-1]
    with pytest.raises(DataError, match="is not the file that is known"):
        fetch(remote(server, None), tmp_path)


@pytest.mark.parametrize(("status", "said"), [(404, "404"), (202, "202"), (503, "503")])
def test_a_refusal_is_told_with_its_status(server: Files, tmp_path: Path, status: int, said: str) -> None:
    server.status = status
    with pytest.raises(DataError, match=said):
        fetch(remote(server), tmp_path)
    assert left_in(tmp_path) == []


def test_no_connection_is_one_line_that_says_where_a_file_may_be_put(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/a.bin"
    with pytest.raises(DataError, match="no connection") as caught:
        fetch(RemoteFile("a.bin", url, SHA256), tmp_path)
    assert "\n" not in str(caught.value) and str(tmp_path / "a.bin") in str(caught.value)
    (tmp_path / "a.bin").write_bytes(CONTENT)
    assert fetch(RemoteFile("a.bin", url, SHA256), tmp_path).read_bytes() == CONTENT


def test_a_server_that_does_not_answer_is_told(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/a.bin"
        with pytest.raises(DataError, match="does not answer in time"):
            fetch(RemoteFile("a.bin", url, SHA256), tmp_path, timeout=0.2)


def test_a_folder_that_cannot_be_made_is_told(server: Files, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot download"):
        fetch(remote(server), tmp_path / "file" / "folder")
