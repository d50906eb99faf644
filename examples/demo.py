"""The main job on this repository: an agent asks over real MCP, you answer in this terminal.

Without a terminal it runs dry: nobody is asked and nothing is stored.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from orgguard_mcp.guard import Guard
from orgguard_mcp.model import Basis

HERE = Path(__file__).parent
REPO = HERE.parent
SYLLABLES = ("bra", "dro", "fen", "gil", "mor", "nax", "plu", "quo", "tesh", "vel", "wim", "zor")


def main() -> int:
    """Run the demonstration; return the exit code."""
    # Put together at run time: a name that stood in this file would be established by it.
    name = "".join(random.sample(SYLLABLES, 3)).title()  # no secret
    interactive = sys.stdin.isatty() and sys.stdout.isatty()
    print(f"An agent works on {REPO.name} and wants to write the invented name {name}.\n")
    if not interactive:
        print("There is no terminal to answer in, so this is a dry run.\n")
    agent = start_agent(name, *([] if interactive else ["--dry-run"]))
    lines = agent_lines(agent)
    for line in lines:
        print(line)
        if interactive and "waiting for a human" in line:
            print("\nYour turn: the question is in the queue, as `orgguard review` shows it.\n")
            subprocess.run(
                [sys.executable, "-m", "orgguard_mcp", "review", "--no-wait", "--repo", str(REPO)],
                check=False,
            )
            if undecided(name):
                agent.terminate()
                print("The question stays in the queue; the agent would be told `pending`.")
                return 0
            print("The agent is told:\n")
            break
    for line in lines:
        if "waiting for a human" not in line:
            print(line)
    return agent.wait()


def undecided(name: str) -> bool:
    """Whether the reviewer left without an answer."""
    with Guard(REPO) as guard:
        return guard.check(name).basis is Basis.PENDING


def start_agent(name: str, *options: str) -> subprocess.Popen[str]:
    """Start the scripted agent in a process of its own."""
    return subprocess.Popen(
        [sys.executable, str(HERE / "agent.py"), str(REPO), name, *options],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def agent_lines(agent: subprocess.Popen[str]) -> Iterator[str]:
    """What the agent prints, line by line."""
    if agent.stdout:
        for line in agent.stdout:
            yield line.rstrip("\n")


if __name__ == "__main__":
    sys.exit(main())
