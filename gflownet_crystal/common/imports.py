"""A guard for packages that the repository also links at its top level."""

from __future__ import annotations


def refuse_bare_import(name: str) -> None:
    """Refuse an import of a package under the bare name of its link, which would load its classes a second time.

    Args:
        name: ``__name__`` of the package.

    Raises:
        ImportError: the name is not inside ``gflownet_crystal``.
    """
    if not name.startswith("gflownet_crystal."):
        raise ImportError(
            f"import gflownet_crystal.{name}, not {name}: the folder {name}/ is a link into the package"
        )
