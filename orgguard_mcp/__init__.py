"""OrgGuard: a human's consent before a third party's name enters a public repository."""

__version__ = "0.1.0"
