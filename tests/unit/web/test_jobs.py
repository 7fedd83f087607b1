"""Commands started from the page."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from twinloop.system.processes import own_group
from twinloop.web import jobs as web_jobs
from twinloop.web.jobs import Job, Jobs

DEAF_AT_FIRST = """
import signal, time
heard = []
signal.signal(signal.SIGINT, lambda *_: heard.append(1))
while len(heard) < 2:
    print('{"progress": {"label": "Training", "done": 1, "total": 9}}', flush=True)
    time.sleep(0.05)
raise SystemExit(130)
"""


def test_an_interrupt_that_was_lost_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command goes on after the first, as where Python swallowed it."""
    monkeypatch.setattr(web_jobs, "LOST", 0.3)
    process = subprocess.Popen([sys.executable, "-c", DEAF_AT_FIRST], stdout=subprocess.PIPE, text=True, **own_group())
    job = Job(1, "a", [], process)
    listener = threading.Thread(target=web_jobs._listen, args=(job,), daemon=True)
    listener.start()
    while job.progress is None:
        time.sleep(0.02)
    assert job.state == "running"
    job.interrupt()
    listener.join(20)
    assert (job.state, process.poll()) == ("stopped", 130)


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
