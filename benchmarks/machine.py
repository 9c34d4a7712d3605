"""The machine, the versions and the load, as every benchmark says them."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path


def processor() -> str:
    """The processor's name, where the system says it."""
    path = Path("/proc/cpuinfo")
    models = [line for line in path.read_text().splitlines() if line.startswith("model name")] if path.exists() else []
    return models[0].partition(":")[2].strip() if models else platform.processor() or "unknown processor"


def machine() -> str:
    """System, processor, number of cores."""
    return f"{platform.system()} {platform.machine()}, {processor()}, {os.cpu_count()} cores"


def versions(*packages: str) -> str:
    """Python's version and those of ``packages``."""
    said = [f"Python {platform.python_version()}"]
    for package in packages:
        try:
            said.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            said.append(f"{package} not installed")
    return ", ".join(said)


def load() -> str:
    """How many programs were running at once over the last 1, 5 and 15 minutes, where the system says it."""
    return " ".join(f"{value:.1f}" for value in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"
