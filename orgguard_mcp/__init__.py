"""OrgGuard: a human's consent before a third party's name enters a public repository."""
