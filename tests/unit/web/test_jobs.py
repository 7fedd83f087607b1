"""Commands started from the page."""

from __future__ import annotations

import time
from pathlib import Path

from twinloop.web.jobs import Jobs


def test_of_what_ended_the_latest_on_each_thing_is_kept(tmp_path: Path) -> None:
    """A server that runs for weeks neither fills up nor tells the page of all that ever was."""
    jobs = Jobs(tmp_path)
    numbers = []
    for key in ("a", "b", "a"):
        job = jobs.start(key, ["--version"])
        numbers.append(job.number)
        for _ in range(600):
            if job.ended:
                break
            time.sleep(0.05)
        assert job.state == "done"
    assert numbers == [1, 2, 3] and [(job.key, job.number) for job in jobs.all()] == [("b", 2), ("a", 3)]
