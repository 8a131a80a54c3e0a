"""Parameter names of other people's versions of a model: `load_state_dict` and `weights` take them too.

A model that has some says so in `foreign_names`: how a name begins there -> how it begins here.
"""

import functools
from collections.abc import Mapping
from typing import Any

from torch import nn


def accept_names(module: nn.Module, names: Mapping[str, str]) -> None:
    """Let `load_state_dict` of a module take names that begin otherwise; the dict that is handed in stays as it is."""
    hook = functools.partial(_rename, names)  # no closure: models are copied and pickled
    module.register_load_state_dict_pre_hook(hook)  # type: ignore[no-untyped-call]


def own_name(key: str, names: Mapping[str, str]) -> str:
    """The model's own name for a foreign one; any other name as it is."""
    old = next((old for old in names if key.startswith(old)), None)
    return key if old is None else names[old] + key[len(old) :]


def _rename(names: Mapping[str, str], module: nn.Module, state: dict[str, Any], prefix: str, *_: object) -> None:
    for key in list(state):
        if key.startswith(prefix):
            name = prefix + own_name(key[len(prefix) :], names)
            if name != key:
                state[name] = state.pop(key)
