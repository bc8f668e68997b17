"""Pages that open offline: a template of the package, filled with what is shown."""

import json
from pathlib import Path
from typing import Any

from speechalign.assets import FOLDER

DATA = "{{data}}"  # stands in the template for what is shown
SHARED = {"{{style}}": FOLDER / "page.css", "{{script}}": FOLDER / "page.js"}


def filled(template: Path, view: dict[str, Any]) -> str:
    """Fill a template; what is shown cannot end the script that it stands in."""
    page = template.read_text(encoding="utf-8")
    for place, file in SHARED.items():
        page = page.replace(place, file.read_text(encoding="utf-8").rstrip("\n"))
    data = json.dumps(view, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    return page.replace(DATA, data)
