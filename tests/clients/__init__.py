"""The proof with real clients: see docs/clients.md."""
