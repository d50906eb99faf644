"""Reports as text. `FORMATS` has the scan's formats; `verdicts` is what `check` prints.

Each format is imported when it is used: a report for a reader loads neither JSON nor XML.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from orgguard_mcp.model import Report
from orgguard_mcp.report.view import Options, view

__all__ = ["FORMATS", "Options", "job_summary"]


def _human(report: Report, options: Options) -> str:
    from orgguard_mcp.report import human

    return human.render(view(report, reveal=options.reveal))


def _json(report: Report, options: Options) -> str:
    from orgguard_mcp.report import document

    return document.render(view(report, reveal=options.reveal))


def _sarif(report: Report, options: Options) -> str:
    from orgguard_mcp.report import sarif

    return sarif.render(view(report, reveal=options.reveal))


def _github(report: Report, options: Options) -> str:
    from orgguard_mcp.report import github

    return github.render(view(report, reveal=options.reveal), options.token)


def _gitlab(report: Report, options: Options) -> str:
    from orgguard_mcp.report import gitlab

    return gitlab.render(view(report, reveal=options.reveal))


def _junit(report: Report, options: Options) -> str:
    from orgguard_mcp.report import junit

    return junit.render(view(report, reveal=options.reveal))


def job_summary(report: Report, options: Options) -> str:
    """*report* as Markdown, to append to the file that `$GITHUB_STEP_SUMMARY` names."""
    from orgguard_mcp.report import github

    return github.summary(view(report, reveal=options.reveal))


FORMATS: Mapping[str, Callable[[Report, Options], str]] = {
    "human": _human,
    "json": _json,
    "sarif": _sarif,
    "github": _github,
    "gitlab": _gitlab,
    "junit": _junit,
}
