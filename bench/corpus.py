"""The standing corpus: one released LiteLLM wheel, unpacked and committed to a local repository.

LiteLLM names hundreds of organisations by hand, and carries generated, minified, encoded and
harvested files as well: what an index has to tell apart. The version is pinned, since
`litellm_names.tsv` was labelled by reading exactly this wheel, and its digest is checked.

    python bench/corpus.py [--dir DIR]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

VERSION = "1.109.1"
"""The release that the names were labelled for."""

PLATFORM = "manylinux_2_28_x86_64"
"""The wheel is the same everywhere but for one native library; this one was labelled."""

WHEEL_SHA256 = "1c8b4dd671fa0cd0850aa751678704ff77e595fb1e6085b2dc3be39ee19bdaaf"

_MARK = f"litellm {VERSION} as released"  # the message of the one commit
_IDENTITY = {
    "GIT_AUTHOR_NAME": "bench", "GIT_AUTHOR_EMAIL": "bench@example.com",
    "GIT_COMMITTER_NAME": "bench", "GIT_COMMITTER_EMAIL": "bench@example.com",
    "GIT_AUTHOR_DATE": "2020-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2020-01-01T00:00:00Z",
    "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull,
}  # fmt: skip


def default_dir() -> Path:
    """Where the corpus lives unless told otherwise."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "orgguard-bench" / f"litellm-{VERSION}"


def corpus(directory: Path | None = None) -> Path:
    """Return the corpus's repository, made on the first call and left alone on every later one.

    It is built aside and moved into place, so an interrupted build leaves nothing half-made.
    """
    directory = directory or default_dir()
    if _is_complete(directory):
        return directory
    if directory.exists():
        raise SystemExit(f"{directory} exists and is not the corpus: delete it or pass --dir")
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".building-") as aside:
        tree = Path(aside) / "tree"
        with zipfile.ZipFile(_download(Path(aside))) as wheel:
            wheel.extractall(tree)
        _commit(tree)
        shutil.move(tree, directory)
    return directory


def git(directory: Path, *arguments: str) -> str:
    """What git says in *directory*; none of the user's own configuration takes part."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    done = subprocess.run(
        ["git", "-C", str(directory), *arguments],
        check=True, capture_output=True, text=True, errors="surrogateescape",
        env=inherited | _IDENTITY,
    )  # fmt: skip
    return done.stdout


def add_dir_option(parser: argparse.ArgumentParser) -> None:
    """Give *parser* the ``--dir`` that all scripts of this directory share."""
    parser.add_argument(
        "--dir", type=Path, metavar="DIR", help=f"the corpus (default: {default_dir()})"
    )


def _is_complete(directory: Path) -> bool:
    """Whether *directory* is a repository of its own whose last commit is the corpus."""
    if not (directory / ".git").is_dir():
        return False
    try:
        return git(directory, "log", "-1", "--format=%s").strip() == _MARK
    except subprocess.CalledProcessError:
        return False


def _download(directory: Path) -> Path:
    _say(f"downloading litellm {VERSION}")
    subprocess.run(
        [
            sys.executable, "-m", "pip", "download", "-qq", "--no-deps",
            "--only-binary", ":all:", "--platform", PLATFORM, "--python-version", "3.11",
            "--dest", str(directory), f"litellm=={VERSION}",
        ],
        check=True,
    )  # fmt: skip
    (wheel,) = directory.glob("*.whl")
    if hashlib.sha256(wheel.read_bytes()).hexdigest() != WHEEL_SHA256:
        raise SystemExit(f"{wheel.name} is not the wheel that was labelled: its digest differs")
    return wheel


def _commit(tree: Path) -> None:
    _say(f"committing it to {tree}")
    git(tree, "-c", "init.defaultBranch=main", "init", "--quiet")
    git(tree, "-c", "core.autocrlf=false", "add", "--all", "--force")
    git(tree, "commit", "--quiet", "--message", _MARK)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def main() -> int:
    """Make the corpus if need be and print where it is."""
    parser = argparse.ArgumentParser(description="Make the corpus and print where it is.")
    add_dir_option(parser)
    print(corpus(parser.parse_args().dir))
    return 0


if __name__ == "__main__":
    sys.exit(main())
