"""The main job on this repository: an agent asks over real MCP, you answer in this terminal.

Without a terminal it runs dry: nobody is asked and nothing is stored.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Basis

HERE = Path(__file__).parent
REPO = HERE.parent
SYLLABLES = ("bra", "dro", "fen", "gil", "mor", "nax", "plu", "quo", "tesh", "vel", "wim", "zor")


def main() -> int:
    """Run the demonstration on a throw-away clone, so that nothing of it stays; return 0."""
    with tempfile.TemporaryDirectory() as scratch:
        clone = Path(scratch) / REPO.name
        subprocess.run(["git", "clone", "--quiet", str(REPO), str(clone)], check=True)
        return demonstrate(clone)


def demonstrate(repo: Path) -> int:
    """Let an agent ask about an invented name in *repo* and the user answer."""
    # Put together at run time: a name that stood in this file would be established by it.
    name = "".join(random.sample(SYLLABLES, 3)).title()
    interactive = sys.stdin.isatty() and sys.stdout.isatty()
    print(f"An agent works on {repo.name} and wants to write the invented name {name}.\n")
    if not interactive:
        print("There is no terminal to answer in, so this is a dry run.\n")
    agent = start_agent(repo, name, *([] if interactive else ["--dry-run"]))
    lines = agent_lines(agent)
    for line in lines:
        print(line)
        if interactive and "waiting for a human" in line:
            answer(repo)
            if undecided(repo, name):
                agent.terminate()
                print("The question stays in the queue; the agent would be told `pending`.")
                return 0
            print("The agent is told:\n")
            break
    for line in lines:
        if "waiting for a human" not in line:
            print(line)
    return agent.wait()


def answer(repo: Path) -> None:
    """Hand the terminal to the reviewer."""
    print("\nYour turn: the question is in the queue, as `orgguard review` shows it.\n")
    review = [sys.executable, "-m", "orgguard_mcp", "review", "--no-wait", "--repo", str(repo)]
    subprocess.run(review, check=False)


def undecided(repo: Path, name: str) -> bool:
    """Whether the reviewer left without an answer."""
    with Guard(repo) as guard:
        return guard.check(name).basis is Basis.PENDING


def start_agent(repo: Path, name: str, *options: str) -> subprocess.Popen[str]:
    """Start the scripted agent in a process of its own."""
    return subprocess.Popen(
        [sys.executable, str(HERE / "agent.py"), str(repo), name, *options],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def agent_lines(agent: subprocess.Popen[str]) -> Iterator[str]:
    """What the agent prints, line by line."""
    if agent.stdout:
        for line in agent.stdout:
            yield line.rstrip("\n")


if __name__ == "__main__":
    sys.exit(main())
