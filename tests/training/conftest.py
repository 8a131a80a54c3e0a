"""Models that only tests know, by their names in small letters."""

import pytest

from toolkit.models import MODELS
from toolkit.models.entry import ModelEntry


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> None:
    """plain, sided, hungry and poisoned, see tests/training/models.py."""
    for name in ("Plain", "Sided", "Hungry", "Poisoned"):
        monkeypatch.setitem(
            MODELS._entries, name.lower(), ModelEntry(f"tests.training.models:{name}", "", has_width=True)
        )
