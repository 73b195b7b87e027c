"""A resolution as lines of a requirements file."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from puffin_api._model.resolution import Resolution, ResolvedPackage


def requirements_txt(resolution: Resolution, *, hashes: bool, annotate: bool) -> str:
    """Return one pinned requirement a line, by name."""
    lines: list[str] = []
    for package in resolution.packages.values():
        parts = [_pin(package), *(_hashes(package) if hashes else ())]
        lines.append(" \\\n    ".join(parts))
        if annotate:
            lines.append(f"    # via {', '.join(_requesters(resolution, package))}")
    return "".join(line + "\n" for line in lines)


def _pin(package: ResolvedPackage) -> str:
    # Extras are left out: what they bring in is in the list itself.
    if not package.location:
        return f"{package.name}=={package.version}"
    if package.editable:  # as a URL, since a path would have to be quoted, and every reader does it otherwise
        return f"-e {package.location}"
    return f"{package.name} @ {package.location}"


def _hashes(package: ResolvedPackage) -> list[str]:
    files = (package.file, *package.alternatives)
    found = {text for file in files for text in (*file.row().hashes, *file.allowed)}
    strong = [h for h in found if not h.startswith(("md5:", "sha1:"))]
    return [f"--hash={h}" for h in sorted(strong)]


def _requesters(resolution: Resolution, package: ResolvedPackage) -> list[str]:
    own = ["the caller"] if package.name in resolution.root_names else []
    return [*own, *package.required_by]
