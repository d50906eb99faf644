"""Proving an installation: an invented name is taken through each door, and it is told how far."""
