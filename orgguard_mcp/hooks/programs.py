"""Which programs a command runs: those that only show something, those that publish. Pure."""

from __future__ import annotations

import re

_PUBLISHERS = frozenset(
    "git gh glab hub tea jj hg svn curl wget http https xh scp rsync sftp mail sendmail npm twine"
    " docker".split()
)
"""Programs that send text elsewhere: what files outside the working tree say matters to these."""

_ONLY_READ = frozenset("grep egrep fgrep rg ls cat head tail wc cd pwd file stat".split())
_READS = re.compile(r"[^>`(){}\\$]*")
_STARTS = re.compile(r"-O|--open|--pre")
"""Options by which a program that searches starts another."""

_STEPS = re.compile(r"[|&;\n]+")
_OURS = re.compile(r"\s*orgguard\s+(?:check|scan|pending|log)\b[^\n>`()|&;]*")


def only_reads(command: str) -> bool:
    """Whether *command* surely just shows something here. In doubt it does not."""
    if _OURS.fullmatch(command):
        return True
    if not _READS.fullmatch(command.strip()):
        return False
    steps = [step.split() for step in _STEPS.split(command) if step.strip()]
    named = {word for step in steps for word in step}
    if not named.isdisjoint(_PUBLISHERS - {"git"}) or any(map(_STARTS.match, named)):
        return False
    return all(step[0] in _ONLY_READ or step[:2] == ["git", "grep"] for step in steps)


def publishes(command: str) -> bool:
    """Whether *command* may send what it reads elsewhere."""
    return not _PUBLISHERS.isdisjoint(re.findall(r"[\w-]+", command))
