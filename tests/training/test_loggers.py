"""The Weights & Biases folder of an offline run, read back without the network."""

from __future__ import annotations

import importlib.util
import json
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.training.loggers import WandbLogger
from tests.cli.commands import SMALL_GRID, environment, run_command

needs_wandb = pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="pip install wandb")

BLOCK, FILE_HEADER, RECORD_HEADER = 32768, 7, 7
WHOLE, LAST = 1, 4


def log_records(data: bytes) -> Iterator[bytes]:
    """Records of a LevelDB log, the format of a ``.wandb`` file: blocks of 32 kB, records split across them."""
    position, parts = FILE_HEADER, b""
    while position + RECORD_HEADER <= len(data):
        if BLOCK - position % BLOCK < RECORD_HEADER:
            position += BLOCK - position % BLOCK
            continue
        _, size, kind = struct.unpack("<IHB", data[position : position + RECORD_HEADER])
        parts += data[position + RECORD_HEADER : position + RECORD_HEADER + size]
        position += RECORD_HEADER + size
        if kind in (WHOLE, LAST):
            yield parts
            parts = b""


def read_offline_run(folder: Path) -> tuple[dict[str, object], list[dict[str, object]]]:
    """Configuration and history in the transaction log of an offline run."""
    from wandb.proto import wandb_internal_pb2

    (path,) = folder.glob("wandb/offline-run-*/*.wandb")
    config: dict[str, object] = {}
    history: list[dict[str, object]] = []
    for data in log_records(path.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        for item in record.run.config.update:
            config[item.key] = json.loads(item.value_json)
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            history.append({(item.key or item.nested_key[0]): json.loads(item.value_json) for item in items})
    return config, history


@needs_wandb
def test_an_offline_run_holds_the_config_and_each_step(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import wandb

    logger = WandbLogger("test", "offline")
    logger.start(tmp_path, {"seed": 3, "env": {"length": 6}})
    for step in (1, 2, 3):
        logger.log(step, {"step": step, "loss": 1.0 / step})
    logger.close()
    # the writing process has everything on disk only when it ends
    wandb.teardown()
    config, history = read_offline_run(tmp_path)
    assert config["seed"] == 3
    assert config["env"] == {"length": 6}
    assert [(row["step"], row["loss"]) for row in history] == [(1, 1.0), (2, 0.5), (3, 1.0 / 3)]
    output = capfd.readouterr()
    assert output.out == output.err == ""


NO_LOOKUPS = """
import socket, sys
def refuse(*words, **named):
    print("LOOKUP", words, file=sys.stderr, flush=True)
    raise OSError("no network")
for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getfqdn", "create_connection"):
    setattr(socket, name, refuse)
from pathlib import Path
from gflownet_crystal.training.loggers import WandbLogger
logger = WandbLogger()
logger.start(Path(sys.argv[1]), {"seed": 1})
logger.log(1, {"loss": 1.0})
logger.close()
"""


@needs_wandb
def test_an_offline_run_looks_up_no_host(tmp_path: Path) -> None:
    # in a process of its own, as the package asks its environment at the import; errors that it meets would be reported
    settings = {name: value for name, value in environment().items() if not name.startswith("WANDB")}
    # its second process is written in Go, whose resolver says what it does
    result = subprocess.run(
        [sys.executable, "-c", NO_LOOKUPS, str(tmp_path)], env=settings | {"GODEBUG": "netdns=2"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "LOOKUP" not in result.stderr and "netdns" not in result.stdout + result.stderr
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ConfigError, match="offline, online"):
        WandbLogger(mode="sometimes")


def test_without_the_package_one_line_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: found(name, *rest) if name != "wandb" else None
    )
    failed = run_command(tmp_path, "train_gfn", *SMALL_GRID, "logger=wandb", f"run.dir={tmp_path / 'run'}")
    assert failed.returncode == 2 and failed.stderr.count("\n") == 1
    assert "pip install wandb" in failed.stderr
    assert not (tmp_path / "run").exists()
