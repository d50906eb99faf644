"""What goes over the web as a client: to nobody but whom it was meant for, and not in the clear."""

from __future__ import annotations

from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, build_opener

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def is_safe(url: str) -> bool:
    """Whether nobody on the way can read or change what goes to *url*: by TLS, or since it does not
    leave this machine.
    """
    parts = urlsplit(url)
    local = parts.scheme == "http" and parts.hostname in _LOOPBACK
    return bool(parts.hostname) and (parts.scheme == "https" or local)


def opener() -> OpenerDirector:
    """What opens URLs, and follows nobody elsewhere: a secret would go along, or another answer."""
    return build_opener(_Stay)


class _Stay(HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None
