"""Validates the scan's SARIF against the official schema, which its licence lets us not ship.

    python bench/sarif_schema.py sarif-schema-2.1.0.json

Needs jsonschema, which is no dependency: `pip install jsonschema`. The reports are the tests' own.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import jsonschema

sys.path.insert(0, str(Path(__file__).parents[1]))

from orgguard_mcp.report import FORMATS, Options
from tests.scanned import clean, many, sample


def main() -> int:
    """Validate each report, hidden and revealed; exit 1 on the first that is not valid."""
    schema = json.loads(Path(sys.argv[1]).read_text())
    validator = jsonschema.validators.validator_for(schema)(schema)
    count = 0
    for report in (sample(), clean(), many(30)):
        for reveal in (True, False):
            validator.validate(json.loads(FORMATS["sarif"](report, Options(reveal=reveal))))
            count += 1
    print(f"{count} reports are valid SARIF")
    return 0


if __name__ == "__main__":
    sys.exit(main())
