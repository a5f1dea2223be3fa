"""Makes the modules of the demonstration importable; those tested here need no Django."""

from __future__ import annotations

import sys
from pathlib import Path

DEMO = Path(__file__).parents[3] / "examples" / "django_demo"

if str(DEMO) not in sys.path:
    sys.path.append(str(DEMO))
