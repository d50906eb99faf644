"""Qwen Code: the events of Claude Code with the tools of Gemini CLI."""

from __future__ import annotations

from functools import partial

from orgguard_mcp.hooks import payload
from orgguard_mcp.hooks.action import CLAUDE_EVENTS, plain

MOMENTS = CLAUDE_EVENTS

read = partial(payload.action, moments=MOMENTS)
answer = plain
