"""Putting OrgGuard into a repository: what is there, what to write, and how to take it back."""
