"""Whatever happens in a worker costs one task, in words; and nobody is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.unit.adapters.scanning.supervisors import supervisor
from twinloop.adapters.scanning.process import WorkerProcess
from twinloop.adapters.scanning.supervisor import Limits, Supervisor, TaskResult, _cause
from twinloop.errors import MissingModel, ModelFileError, StateError

ROOT = Path(__file__).parents[4]


def outcomes(pool: Supervisor[str], *tasks: str) -> dict[str, TaskResult[str]]:
    return {
        made.task: made
        for made in pool.run(((task, task.encode()) for task in tasks), lambda task, question: question.upper())
    }


@pytest.fixture(scope="module")
def pool() -> Iterator[Supervisor[str]]:
    with supervisor() as made:
        yield made


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not count as gone either."""
    return Path(f"/proc/{pid}").exists()


def wait_until_gone(pids: Iterable[int], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while any(map(alive, pids)):
        assert time.monotonic() < end, "a worker is left"
        time.sleep(0.02)


def test_the_first_worker_greets() -> None:
    with supervisor(greeting="models 1") as made:
        assert made.greeting == b"models 1"


def test_tasks_come_back_with_their_results(pool: Supervisor[str]) -> None:
    done = outcomes(pool, "say a", "say b", "big 3000000")
    assert (done["say a"].result, done["say b"].result, len(done["big 3000000"].result)) == (
        b"done a",
        b"done b",
        3_000_000,
    )
    assert not any(made.failure for made in done.values())


def test_a_worker_may_ask_in_the_middle_of_a_task(pool: Supervisor[str]) -> None:
    assert outcomes(pool, "ask known")["ask known"].result == b"told KNOWN"


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (f"signal {int(signal.SIGSEGV)}", "the decoder crashed (signal 11, SIGSEGV)"),
        (f"signal {int(signal.SIGABRT)}", "the decoder crashed (signal 6, SIGABRT)"),
        (f"signal {int(signal.SIGKILL)}", "the system killed the process that decoded it (out of memory?)"),
        ("exit 3", "the decoder ended the process (exit code 3)"),
        ("raise missing", "the program failed on it (LookupError: missing)"),
        ("memory 400", "needs more than 256 MB of memory"),
    ],
)
def test_what_happens_costs_one_task_and_is_told(pool: Supervisor[str], task: str, words: str) -> None:
    done = outcomes(pool, "say before", task, "say after")
    assert done[task].failure == words
    assert done["say before"].result == b"done before" and done["say after"].result == b"done after"


def test_memory_below_the_limit_is_given(pool: Supervisor[str]) -> None:
    assert outcomes(pool, "memory 100")["memory 100"].result == str(100 << 20).encode()


def test_a_hang_costs_its_time_and_one_task() -> None:
    with supervisor(count=2, timeout=0.5) as made:
        began = time.monotonic()
        done = outcomes(made, "hang", "say a", "say b")
        assert done["hang"].failure == "took longer than 0.5 s"
        assert done["say a"].result == b"done a" and done["say b"].result == b"done b"
        assert time.monotonic() - began < 30


@pytest.mark.parametrize("failing", ["killed", "slow"])
def test_a_task_whose_process_failed_once_is_tried_once_more_after_all_others(tmp_path: Path, failing: str) -> None:
    """The system was short of memory, or the computer slept."""
    task = f"{failing} 1 {tmp_path / 'tries'}"
    with supervisor(timeout=1.0) as made:
        done = outcomes(made, task, "say a", "say b")
    assert list(done) == ["say a", "say b", task] and not any(item.failure for item in done.values())
    assert (tmp_path / "tries").read_bytes() == b".."


@pytest.mark.parametrize("failing", ["killed", "slow"])
def test_a_task_that_always_costs_its_process_is_tried_twice_and_no_more(tmp_path: Path, failing: str) -> None:
    task = f"{failing} 9 {tmp_path / 'tries'}"
    with supervisor(timeout=1.0) as made:
        done = outcomes(made, task, "say a", "raise missing")
    assert done[task].lost and done["say a"].result == b"done a"
    assert done["raise missing"].failure and not done["raise missing"].lost  # the decoder's own word
    assert (tmp_path / "tries").read_bytes() == b".."


def test_a_photo_is_not_blamed_for_a_supervisor_that_answers_late() -> None:
    """The catalogue may take its time."""

    def answer(task: str, question: bytes) -> bytes:
        time.sleep(0.8 if task == "ask late" else 0)
        return question.upper()

    with supervisor(timeout=0.5) as made:
        done = {item.task: item for item in made.run([(task, task.encode()) for task in ("ask late", "ask b")], answer)}
    assert (done["ask late"].result, done["ask late"].failure) == (b"told LATE", "")
    assert done["ask b"].result == b"told B"


def test_a_worker_that_hangs_after_its_answer_still_costs_one_task() -> None:
    with supervisor(timeout=0.5) as made:
        assert outcomes(made, "ask and hang")["ask and hang"].failure == "took longer than 0.5 s"


def test_a_worker_that_died_idle_costs_no_task() -> None:
    with supervisor() as made:
        process = made._workers[0].process
        process.kill()
        process.wait()
        done = outcomes(made, "say a", "say b")
    assert done == {"say a": TaskResult("say a", b"done a"), "say b": TaskResult("say b", b"done b")}


def test_a_worker_that_dies_before_it_reads_the_task_costs_no_task() -> None:
    with supervisor() as made:
        process = made._workers[0].process
        process.send_signal(signal.SIGSTOP)  # the task lies in the pipe, unread
        killing = threading.Timer(0.2, process.kill)
        killing.start()
        done = outcomes(made, "say a", "say b")
        killing.join()
    assert done == {"say a": TaskResult("say a", b"done a"), "say b": TaskResult("say b", b"done b")}


def test_workers_that_all_die_idle_are_an_error_and_not_tried_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    real, given = WorkerProcess.give, 0

    def dying(worker: WorkerProcess[str], task: str, data: bytes, timeout: float) -> None:
        nonlocal given
        given += 1
        worker.process.kill()
        worker.process.wait()
        real(worker, task, data, timeout)

    monkeypatch.setattr(WorkerProcess, "give", dying)
    monkeypatch.setattr("twinloop.adapters.scanning.supervisor.IDLE_DEATHS", 2)
    with supervisor() as made, pytest.raises(StateError, match="2 worker processes in a row ended before"):
        outcomes(made, "say a")
    assert given == 2


def test_a_worker_that_cannot_be_killed_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one in a kernel call on a disk that is gone."""
    monkeypatch.setattr("twinloop.adapters.scanning.process.END_SECONDS", 0.1)
    with supervisor(timeout=0.3) as made:
        stuck = made._workers[0].process
        try:
            monkeypatch.setattr(stuck, "kill", lambda: None)
            done = outcomes(made, "hang", "say a")
            assert alive(stuck.pid) and stuck.poll() is None
        finally:
            os.kill(stuck.pid, signal.SIGKILL)
            stuck.wait()
    assert done["hang"].failure == "took longer than 0.3 s" and done["say a"].result == b"done a"


def test_decoders_do_not_write_to_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    with supervisor() as made:
        outcomes(made, "noise x")
    assert capfd.readouterr() == ("", "")


def test_few_tasks_start_few_workers_and_many_use_all() -> None:
    with supervisor(count=3) as made:
        few = {item.result for item in made.run([("a", b"pid"), ("b", b"pid")], lambda _, __: b"", expected=1)}
        assert len(few) == 1
        tasks = [(f"hang{n}", b"ask now") for n in range(40)]
        pids: set[int] = set()

        def answer(_: str, __: bytes) -> bytes:
            pids.update(worker.process.pid for worker in made._workers)
            return b""

        assert len(list(made.run(tasks, answer))) == 40
        assert len(pids) == 3


def test_an_error_at_the_start_arrives_as_what_it_is() -> None:
    with pytest.raises(MissingModel, match="no detector here"), supervisor(entry="refuse"):
        pass
    with pytest.raises(StateError, match="NoSuch"), Supervisor[str]("tests.NoSuch:make", {}, 1, Limits()):
        pass
    with pytest.raises(StateError, match="exit code 7"), supervisor(entry="die"):
        pass


def test_what_is_not_the_tasks_fault_stops_the_work() -> None:
    with supervisor() as made, pytest.raises(ModelFileError, match="another model"):
        outcomes(made, "refuse another model")


def test_no_worker_is_left_when_the_caller_stops_in_the_middle() -> None:
    with supervisor(count=2) as made:
        source = made.run(((str(n), b"pid" if n < 2 else b"hang") for n in range(9)), lambda _, __: b"")
        pids = [int(next(source).result), int(next(source).result)]
        del source
    wait_until_gone(pids, 0.5)


def test_no_worker_outlives_a_killed_supervisor() -> None:
    """Also one that hangs with every signal blocked."""
    code = (
        "from tests.unit.adapters.scanning.supervisors import supervisor\n"
        "with supervisor(count=1, timeout=600) as made:\n"
        "    print(made._workers[0].process.pid, flush=True)\n"
        "    list(made.run([('a', b'hang')], lambda _, __: b''))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT, text=True)
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    time.sleep(0.3)
    assert alive(pid)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    wait_until_gone([pid])


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (None, "exit code None"),
        (3, "ended the process (exit code 3)"),
        (0xC0000005, "crashed (0xc0000005)"),
        (-11, "crashed (signal 11, SIGSEGV)"),
        (-9, "killed the process"),
    ],
)
def test_how_a_process_ended_in_words(code: int | None, cause: str) -> None:
    """The third is an access violation under Windows."""
    assert cause in _cause(code)
