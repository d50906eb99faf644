"""The console scripts. What agents and git wait for is handed to a warm helper, if there is one.

Nothing is imported before it is needed: with a helper, a start of Python is the whole cost.
"""

import os
import sys

from orgguard_mcp import __version__


def main(arguments: list[str] | None = None) -> int:
    """Run one command, here or in the helper, and return its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    if given == ["--version"]:
        sys.stdout.write(f"orgguard {__version__}\n")
        return 0
    from orgguard_mcp import warm

    if warm.helps(given):
        try:
            code = warm.ask(given)
        except (warm.LostError, KeyboardInterrupt) as why:
            from orgguard_mcp.program import unanswered

            return unanswered(given, str(why) or "it was interrupted")
        if code is not None:
            if arguments is None:
                os._exit(code)  # all was said by the helper: nothing here is worth tidying up
            return code
    from orgguard_mcp.program import run

    code = run(given)
    if given[:1] == ["hook"]:
        warm.start()
    return code


def serve(arguments: list[str] | None = None) -> int:
    """Run `orgguard serve`: the console script `orgguard-mcp`."""
    return main(["serve", *(sys.argv[1:] if arguments is None else arguments)])


if __name__ == "__main__":
    sys.exit(main())
