"""Packs the one wheel in a directory into an .mcpb bundle beside it: `python mcpb/pack.py dist`.

The wheel goes in as it is released, with a project around it that uv can run. The same wheel gives
the same bytes.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
PROJECT = """\
[project]
name = "orgguard-bundle"
version = "{version}"
requires-python = ">=3.11"
dependencies = ["orgguard-mcp"]

[tool.uv.sources]
orgguard-mcp = {{ path = "{wheel}" }}
"""


def pack(directory: Path) -> Path:
    """Write `orgguard.mcpb` from the wheel in *directory*; `ValueError` unless it has just one."""
    (wheel,) = directory.glob("orgguard_mcp-*.whl")
    version = wheel.name.split("-")[1]
    files = {
        "manifest.json": (HERE / "manifest.json").read_bytes(),
        "pyproject.toml": PROJECT.format(version=version, wheel=wheel.name).encode(),
        "server.py": (HERE / "server.py").read_bytes(),
        wheel.name: wheel.read_bytes(),
    }
    bundle = directory / "orgguard.mcpb"
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(zipfile.ZipInfo(name), content)  # no clock, no umask
    return bundle


if __name__ == "__main__":
    pack(Path(sys.argv[1]))
