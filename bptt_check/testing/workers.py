"""The side of pytest-xdist that starts the workers: each is told where to write, and what it wrote is gathered.

Loads nothing else unless a worker has written something.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from bptt_check.testing.options import FOLDER, UNWRITABLE, running_folder

if TYPE_CHECKING:
    from bptt_check.testing.gathering import Gathering


class Workers:
    """Watches for what workers write. Registered as a plugin when the first one is started."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.folder = running_folder(config)
        self._gathering: Gathering | None = None

    def _look(self) -> Gathering | None:
        if self._gathering is None and self.folder.exists():
            from bptt_check.testing.gathering import Gathering

            self._gathering = Gathering(self._config, self.folder)
            self._config.pluginmanager.register(self._gathering, "bptt_check.gathering")
        return self._gathering

    def pytest_xdist_node_collection_finished(self, node: Any, ids: Sequence[str]) -> None:
        """A worker has written its plan, if it has one."""
        if gathering := self._look():
            gathering.gather(node.gateway.id)

    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """A worker is gone, in peace or not."""
        output = getattr(node, "workeroutput", {})
        if UNWRITABLE in output:
            raise pytest.UsageError(output[UNWRITABLE])
        if gathering := self._look():
            gathering.last_of(node.gateway.id, output)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> Generator[None, None, None]:
        """When all workers are gone, make the reports."""
        try:
            yield
        finally:
            if gathering := self._look():
                gathering.finish(session, exitstatus)


_WORKERS: pytest.StashKey[Workers] = pytest.StashKey()


def tell(node: Any) -> None:
    """Tell a worker that is about to be started where it writes."""
    config = node.config
    if _WORKERS not in config.stash:
        config.stash[_WORKERS] = Workers(config)
        config.pluginmanager.register(config.stash[_WORKERS], "bptt_check.workers")
    node.workerinput[FOLDER] = str(config.stash[_WORKERS].folder)
