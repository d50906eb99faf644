"""The invented organisations of the tests: every made-up name comes from here, and none is real."""

COINED = "Zorblatt"
"""One word that no language has."""

COINED_TOO = "Quimbrel"
THIRD = "Vexomar"
FOURTH = "Drandulo"

TWO_WORDS = "Harbor Finch"
"""Two ordinary words that together name nobody."""

WITH_SIGN = "P&Q Fennigan"
DIGITS = "7Mund"
ACCENTED = "Wélbrück"
CYRILLIC_TWIN = "Zorblаtt"
"""`COINED` with a Cyrillic а."""

NON_LATIN = "Зурбатт"
"""Cyrillic through and through, with letters that no Latin word has."""
