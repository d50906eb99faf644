"""Attacks: each test says who attacks, and what must hold."""
