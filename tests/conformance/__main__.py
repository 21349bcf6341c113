"""``python -m tests.conformance openapi.json``: calls every operation, writes docs/compatibility.md."""

import sys
import tempfile
from pathlib import Path

from tests.conformance import report
from tests.conformance.document import Reference
from tests.conformance.program import call_everything


def main() -> None:
    """Write the page."""
    reference = Reference(Path(sys.argv[1]))
    with tempfile.TemporaryDirectory() as data_dir:
        page = report.render(reference, call_everything(Path(data_dir, "data"), {}))
    report.PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
