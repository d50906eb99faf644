#!/bin/sh
# orgguard.sh STATUS ARGUMENTS: starts OrgGuard as it is installed, else through uv. Claude Code lets a
# call through when its hook ends with anything but 0 or 2. STATUS stands for all that can go wrong: 2
# before and after a call, but 1 when Claude stops, where 2 would make it go on for ever.
unable=$1
shift
if command -v orgguard >/dev/null 2>&1; then
    set -- orgguard "$@"
elif command -v uvx >/dev/null 2>&1; then
    set -- uvx --quiet --from orgguard-mcp==0.1.0 orgguard "$@"
else
    echo "orgguard: names were not checked: neither orgguard nor uvx is on the PATH" >&2
    echo "  next: install uv, or run: pipx install orgguard-mcp" >&2
    exit "$unable"
fi

# The server must be the client's own child: a review beneath that client is refused.
case " $* " in *" orgguard serve "*) exec "$@" ;; esac
"$@"
status=$?
case $status in 0 | 2) exit $status ;; *) exit "$unable" ;; esac
