"""Medians of rounds, how many times as long the others took, and the table of it."""

import time
from statistics import median
from typing import Any

Figures = dict[str, Any]


def summary(runs: dict[str, list[Figures]], ours: str) -> Figures:
    """Medians of each contestant, and its times by ours: every run against our run of the same round."""
    medians = {
        who: {key: median(run[key] for run in each) for key in ("wall", "cpu", "system", "peak")}
        for who, each in runs.items()
        if each
    }
    ratios: Figures = {who: {} for who in medians}
    for who in medians:
        for key in ("wall", "cpu"):
            each = [theirs[key] / own[key] for own, theirs in zip(runs[ours], runs[who], strict=False)]
            ratios[who][key] = {"median": median(each), "least": min(each), "most": max(each)}
    return {"medians": medians, "ratios": ratios}


def race_table(found: Figures, scaled: str = "") -> str:
    """Lines for people. `scaled` names the contestant that was measured on fewer images, if there is one."""
    width = max(len(who) for figures in found["sets"].values() for who in figures["medians"])
    today = time.strftime("%Y-%m-%d")
    lines = [f"{today}, {found['cores']} cores, {found['rounds']} rounds; ratio: median (least to most) of the rounds"]
    for name, figures in found["sets"].items():
        note = f" (* from {figures['measured_for_default']}, scaled by image)" if scaled else ""
        lines += ["", f"{name}: {figures['images']} images{note}"]
        lines.append(
            f"{'':<{width}}  {'wall s':>8}  {'cpu s':>8}  {'kernel s':>8}  {'peak MB':>8}"
            f"  {'wall ratio':>20}  {'cpu ratio':>20}"
        )
        for who, row in figures["medians"].items():
            star = "*" if who == scaled else " "
            times = "  ".join(f"{row[key]:>7.2f}{star}" for key in ("wall", "cpu", "system"))
            ratio = "  ".join(f"{_ratio(figures['ratios'][who][key]):>20}" for key in ("wall", "cpu"))
            lines.append(f"{who:<{width}}  {times}  {row['peak']:>8.1f}  {ratio}")
    return "\n".join(lines)


def startup_table(found: Figures) -> str:
    """Lines for people."""
    lines = [f"{'files':>6}  {'first mask s':>12}  {'wall s':>7}  {'cpu s':>7}  {'peak MB':>8}"]
    for row in found["startup"]:
        times = f"{row['first']:>12.2f}  {row['wall']:>7.2f}  {row['cpu']:>7.2f}"
        lines.append(f"{row['images']:>6}  {times}  {row['peak']:>8.1f}")
    return "\n".join(lines)


def _ratio(values: Figures) -> str:
    return f"{values['median']:.1f} ({values['least']:.1f} to {values['most']:.1f})"
