"""Models that only tests know, by their names in small letters."""

import pytest

from toolkit.models import MODELS
from toolkit.registry import Entry


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> None:
    """plain, sided, hungry and poisoned, see tests/training/models.py."""
    for name in ("Plain", "Sided", "Hungry", "Poisoned"):
        monkeypatch.setitem(MODELS._entries, name.lower(), Entry(f"tests.training.models:{name}", ""))
