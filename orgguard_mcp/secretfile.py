"""Reading a file that holds secrets: only when nobody else may."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def read(path: Path, limit: int) -> bytes:
    """What *path* holds, which may be a pipe. Raises `OSError` that says in `strerror` what is
    wrong, or `ValueError` when *path* can be none.
    """
    with path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if mode & 0o077 and stat.S_ISREG(mode):
            raise PermissionError(errno.EACCES, "others may read it: chmod 600 it")
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"it is longer than {limit} bytes")
    return data
