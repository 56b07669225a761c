"""Command-line entry point: ``gflownet-crystal VERB key=value ...``, ``python scripts/VERB.py key=value ...``."""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from gflownet_crystal import __version__
from gflownet_crystal.cli.failures import machine_failure
from gflownet_crystal.common.errors import ConfigError, DataError, GFlowNetCrystalError, unknown
from gflownet_crystal.common.openmp import let_threads_sleep
from gflownet_crystal.common.programs import FAILED, INTERRUPTED, end_quietly, leave_output, one_line

VERBS = (
    "fetch_data",
    "prepare_data",
    "train_proxy",
    "train_property",
    "evaluate_proxy",
    "train_energy",
    "train_denoiser",
    "train_generator",
    "train_prior",
    "train_gfn",
    "refine",
    "sample",
    "predict",
    "export",
    "generate",
    "relax",
    "pipeline",
    "references",
    "evaluate",
    "report",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb.

    Args:
        arguments: the verb and its ``key=value`` settings; those of the process if None.

    Returns:
        Exit status: 0, 2 after an error that the user can fix (one line on standard error), 130 after an interrupt,
        141 if nobody reads standard output any more.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if sys.stdout is None:
        # closed by whoever started this; the first file that is opened must not take its place
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - it stands for standard output to the end
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        # a terminal without Å must not end a verb
        sys.stdout.reconfigure(errors="backslashreplace")
    let_threads_sleep()
    try:
        status = _dispatch(words)
        if fault := _of_output():
            raise DataError(fault)
        return status
    except GFlowNetCrystalError as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt as interrupt:
        print(f"interrupted: {one_line(interrupt) or 'nothing was left half-written'}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        return end_quietly()
    except ModuleNotFoundError as error:
        if (package := _foreign_package(error)) is None:
            raise
        print(
            f"error: the package {package} is not installed for this Python; install this one with its requirements "
            "(pip install -e . in a checkout), or activate the environment that has them",
            file=sys.stderr,
        )
        return FAILED
    except (OSError, MemoryError, RuntimeError) as error:
        line = machine_failure(error)
        if line is None:
            raise
        print(f"error: {_of_output() or ' '.join(line.split())}", file=sys.stderr)
        return FAILED


def _foreign_package(error: ModuleNotFoundError) -> str | None:
    """The package outside this one that an import did not find; None if the module is one of this package."""
    package = (error.name or "").partition(".")[0]
    return package if package not in ("", __name__.partition(".")[0]) else None


def _of_output() -> str:
    """Why nothing more can be written to standard output; empty if it can."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        leave_output()
        return f"cannot write to standard output: {error.strerror or error}"
    return ""


def _dispatch(words: list[str]) -> int:
    if words and words[0] in ("--version", "-V"):
        print(f"gflownet-crystal {__version__}")
        return 0
    if words[:1] == ["help"]:
        # help VERB is VERB --help
        words = [*words[1:], "--help"]
    if not words or words[0] in ("--help", "-h"):
        from gflownet_crystal.cli.help import overview

        print(overview(VERBS))
        return 0
    verb, *rest = words
    if verb not in VERBS:
        raise unknown("verb", verb, VERBS)
    settings, own, wants_help = split_options(rest)
    _see_working_directory()
    if wants_help:
        from gflownet_crystal.cli.help import verb_help

        print(verb_help(verb, settings, own))
        return 0
    from gflownet_crystal.config.compose import compose_config
    from gflownet_crystal.config.config_errors import telling_keys
    from gflownet_crystal.config.request import Request

    request = Request(compose_config(verb, settings, own))
    with telling_keys():
        importlib.import_module(f"gflownet_crystal.cli.{verb}").run(request)
    return 0


def split_options(words: Sequence[str]) -> tuple[list[str], list[Path], bool]:
    """Take ``--config-dir DIR`` (or ``--config-dir=DIR``) and ``--help`` out of the settings.

    Raises:
        ConfigError: another option, or one without its value.
    """
    settings: list[str] = []
    own: list[Path] = []
    wants_help = False
    rest = iter(words)
    for word in rest:
        if word in ("--help", "-h"):
            wants_help = True
        elif word.startswith("--config-dir"):
            name, _, folder = word.partition("=")
            folder = folder or next(rest, "")
            if name != "--config-dir" or not folder:
                raise ConfigError("--config-dir needs a folder: --config-dir DIR")
            own.append(Path(folder))
        elif word in ("-m", "--multirun"):
            raise ConfigError(
                "there are no sweeps: start one command a run, as in "
                "for seed in 0 1 2; do gflownet-crystal train_gfn seed=$seed run.dir=runs/$seed; done"
            )
        elif word.startswith("-"):
            raise ConfigError(
                f"unknown option {word}; options are --help and --config-dir DIR, all else is key=value"
            )
        else:
            settings.append(word)
    return settings, own, wants_help


def _see_working_directory() -> None:
    """Let classes of the user's folder be found; at the end of the path, where they can hide nothing."""
    try:
        here = os.getcwd()
    except OSError as error:
        raise ConfigError(
            f"the working directory is gone ({error.strerror or error}); change to a folder that exists"
        ) from error
    if here not in sys.path:
        sys.path.append(here)


if __name__ == "__main__":
    raise SystemExit(main())
