"""The user's list of labels: plain text in labelme's convention, or YAML with other names and priorities.

- road
- car: [van, truck]                    # drawn as car
- name: person
  aliases: [human, pedestrian]
  priority: 2                          # for --order priority
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolkit.errors import DataError
from toolkit.labels.annotation import clean_label
from toolkit.labels.classmap import ClassMap
from toolkit.yamlfile import read_yaml

_YAML_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class LabelList:
    """Classes in id order, other names for them, and which covers which.

    aliases      class name, or `__ignore__`, by other name
    priorities   by class name
    """

    classes: ClassMap
    aliases: dict[str, str] = field(default_factory=dict)
    priorities: dict[str, float] = field(default_factory=dict)


def read_label_list(path: Path) -> LabelList:
    """Read a list of labels; `.yaml` and `.yml` by the rules above, everything else as plain text.

    Raises DataError naming the file, the entry and what is wrong.
    """
    if path.suffix.lower() not in _YAML_SUFFIXES:
        return LabelList(ClassMap.from_labels(path))
    names: list[str] = []
    aliases: dict[str, str] = {}
    priorities: dict[str, float] = {}
    for number, entry in enumerate(_entries(path), 1):
        name, others, priority = _entry(entry, f"{path}: entry {number}")
        names.append(name)
        for other in others:
            if other in aliases:
                raise DataError(f"{path}: entry {number}: '{other}' is already another name of '{aliases[other]}'.")
            aliases[other] = name
        if priority is not None:
            priorities[name] = priority
    for name in names:
        if name in aliases:
            raise DataError(f"{path}: '{name}' is a class and another name of '{aliases[name]}'. Remove one.")
    return LabelList(ClassMap.from_names(path, names), aliases, priorities)


def _entries(path: Path) -> list[Any]:
    content = read_yaml(path)
    if isinstance(content, dict) and isinstance(content.get("classes", content.get("labels")), list):
        content = content.get("classes", content.get("labels"))
    if isinstance(content, dict):
        content = [{name: others} for name, others in content.items()]
    if not isinstance(content, list):
        raise DataError(f"{path}: a list of labels is needed, or `classes:` with one below it.")
    return content


def _entry(entry: Any, place: str) -> tuple[str, list[str], float | None]:
    priority: Any = None
    if isinstance(entry, dict) and "name" in entry:
        foreign = sorted(set(map(str, entry)) - {"name", "aliases", "priority"})
        if foreign:
            raise DataError(f"{place}: '{foreign[0]}' is not known. Known: name, aliases, priority.")
        name, others, priority = entry["name"], entry.get("aliases"), entry.get("priority")
    elif isinstance(entry, dict) and len(entry) == 1:
        ((name, others),) = entry.items()
    else:
        name, others = entry, None
    if isinstance(others, str | int | float):
        others = [others]
    if others is not None and not isinstance(others, list):
        raise DataError(f"{place}: aliases: a list of labels is needed.")
    if priority is not None and not _is_number(priority):
        raise DataError(f"{place}: priority: a number is needed, got {_shown(priority)}.")
    return _label(name, place), [_label(other, place) for other in others or []], priority


def _label(value: Any, place: str) -> str:
    """YAML reads `no` and `1` as other things than text; a label is what was written."""
    if isinstance(value, bool):
        raise DataError(f"{place}: YAML takes this label for true or false. Put it in quotes.")
    if not isinstance(value, str | int | float) or not clean_label(str(value)):
        raise DataError(f"{place}: a label is needed, got {_shown(value)}.")
    return clean_label(str(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


def _shown(value: Any) -> str:
    """For messages. Lists are not written out: a few lines of YAML hold more than any memory."""
    return "a list" if isinstance(value, list) else "a mapping" if isinstance(value, dict) else repr(value)[:60]
