"""A picture of memory by step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

OURS, RAW, INK = "#c6302b", "#8a8f98", "#30343b"


def draw(workloads: dict[str, Any], path: Path) -> bool:
    """Draw the results into *path*; False if there is nothing to draw."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams.update({"svg.hashsalt": "bench", "svg.fonttype": "none", "font.size": 10, "font.family": "sans-serif"})
    from matplotlib import pyplot as plt

    panels = [panel for name, panel in (("curves", _chat), ("bounded", _bounded)) if name in workloads]
    if not panels:
        return False
    figure, axes = plt.subplots(1, len(panels), figsize=(5.2 * len(panels), 3.6), squeeze=False, layout="constrained")
    for axis, panel in zip(axes[0], panels, strict=True):
        panel(axis, workloads)
        axis.set_xlabel("checkpoints stored", color=INK)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", color="#e4e6ea", linewidth=0.7)
        axis.set_axisbelow(True)
        axis.margins(x=0)
        axis.tick_params(colors=INK)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, facecolor="white", dpi=160)
    plt.close(figure)
    return True


def _chat(axis: Any, workloads: dict[str, Any]) -> None:
    found = workloads["curves"]
    for name, label, color in (("raw", "whole states", RAW), ("redis", "zerograph_redis", OURS)):
        steps, memory = found["steps"][1:], [value / 1e6 for value in found[name][1:]]
        axis.plot(steps, memory, color=color, linewidth=2)
        caption = f"{label}: {memory[-1]:.2f} MB" if memory[-1] < 10 else f"{label}: {memory[-1]:.0f} MB"
        axis.annotate(
            caption, (steps[-1], memory[-1]), (0, 7), textcoords="offset points", ha="right", color=color, weight="bold"
        )
    axis.set_yscale("log")
    axis.set_ylim(top=axis.get_ylim()[1] * 2)
    axis.set_title("A chat that grows: memory of Redis", loc="left", color=INK)
    axis.set_ylabel("MB, logarithmic", color=INK)
    axis.yaxis.set_major_formatter("{x:g}")


def _bounded(axis: Any, workloads: dict[str, Any]) -> None:
    found = workloads["bounded"]
    least, most = ([value / 1e6 for value in found[name]] for name in ("least", "most"))
    axis.fill_between(found["steps"], least, most, color=OURS, alpha=0.25, linewidth=0)
    axis.plot(found["steps"], most, color=OURS, linewidth=1.5)
    axis.annotate(
        f"zerograph_redis: at most {max(most):.2f} MB",
        (found["steps"][-1], max(most)),
        (0, 7),
        textcoords="offset points",
        ha="right",
        color=OURS,
        weight="bold",
    )
    whole = found["keep_last"] * found["state_bytes"] / 1e6
    axis.axhline(whole, color=RAW, linewidth=1.5, linestyle="--")
    caption = f"{found['keep_last']} whole states: {whole:.2f} MB"
    axis.annotate(
        caption, (found["steps"][-1], whole), (0, -13), textcoords="offset points", ha="right", color=RAW, weight="bold"
    )
    axis.set_ylim(0, whole * 1.1)
    axis.set_title(f"A window under keep_last={found['keep_last']}: memory of Redis", loc="left", color=INK)
    axis.set_ylabel("MB", color=INK)
    axis.xaxis.set_major_formatter("{x:,.0f}")
