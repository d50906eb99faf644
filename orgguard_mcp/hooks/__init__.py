"""Hooks: one module per agent turns its payload into an action, and a verdict into its answer."""

HOOKS = {
    "claude": "Claude Code",
    "codex": "Codex",
    "copilot": "Copilot (CLI, cloud agent, VS Code)",
    "cursor": "Cursor",
    "gemini": "Gemini CLI",
    "opencode": "opencode",
    "qwen": "Qwen Code",
}
"""The agents: each has a module of that name with `read` (its payload to an `Action`, or None when
there is nothing to judge) and `answer` (the moment and a reason, empty to allow, to an `Answer`).
"""
