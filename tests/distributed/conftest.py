"""A small Ray on this machine, with a fast end."""

import tempfile

import pytest


@pytest.fixture(scope="module")
def cluster():
    """Four CPUs by name, whatever the machine has: two workers, and what Ray Data needs beside them."""
    import ray

    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="ray") as folder:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_MODE", "disabled")  # else a token is written to the home folder
        ray.init(
            num_cpus=4,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=2**27,
            _node_ip_address="127.0.0.1",
            _temp_dir=folder,  # a short path: sockets lie below it
        )
        ray.data.DataContext.get_current().enable_progress_bars = False
        try:
            yield
        finally:
            ray.shutdown()
