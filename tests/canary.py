"""Looks for a planted name in whatever OrgGuard emits, in the shapes in which it could leak."""

from __future__ import annotations

import base64
import hashlib
import os
import shlex
import shutil
from pathlib import Path

from orgguard_mcp.names import canonicalise

HASHES = ("md5", "sha1", "sha256", "sha512", "blake2b")


class Canary:
    """A planted name. `searched` counts the bytes that were looked at."""

    def __init__(self, name: str) -> None:
        self.searched = 0
        spelled = {name, name.lower(), name.upper(), canonicalise(name)}
        raw = {one.encode(code) for one in spelled for code in ("utf-8", "utf-16-le", "utf-16-be")}
        hidden = {base64.b64encode(one.encode()).rstrip(b"=")[:-1] for one in spelled}
        hidden |= {one.encode().hex().encode() for one in spelled}
        hashed = {
            hashlib.new(kind, one.encode()).hexdigest()[:16].encode()
            for kind in HASHES
            for one in spelled
        }
        self._shapes = {one.lower() for one in raw | hidden | hashed}

    def __call__(self, data: bytes) -> list[bytes]:
        """The shapes of the name that *data* holds; its stored hashes are those without a salt."""
        self.searched += len(data)
        lowered = data.lower()
        return [shape for shape in self._shapes if shape in lowered]

    def in_tree(self, folder: Path) -> list[str]:
        """The files beneath *folder* that hold the name, in their own names or their content."""
        return [
            str(file.relative_to(folder))
            for file in folder.rglob("*")
            if self(os.fsencode(file.relative_to(folder)))
            or (file.is_file() and self(file.read_bytes()))
        ]


def witness(folder: Path, *programs: str) -> tuple[str, Path]:
    """A PATH on which each of *programs* notes its arguments before it runs, and that notebook."""
    folder.mkdir()
    notes = folder / "arguments"
    notes.touch()
    for program in programs:
        real = shutil.which(program)
        assert real
        wrapper = folder / program
        wrapper.write_text(
            f'#!/bin/sh\nprintf "%s\\0" {program} "$@" >> {shlex.quote(str(notes))}\n'
            f'exec {shlex.quote(real)} "$@"\n'
        )
        wrapper.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}", notes
