"""
Recorders when their process forks, exits, is told to end, or is killed: scripts of their own against a real daemon.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path

import pytest

from steward import Client
from steward.recording.spool import of_target
from stewardd.testing import Daemon

ROOT = Path(__file__).parent.parent
START = """
import os, signal, sys, threading, time
from steward import AsyncRecorder, Recorder

target, spool = sys.argv[1:]
FIELDS = {"session_id": "s", "user_role": "Dev", "query": os.path.basename(spool)}


def say(line):
    print(line, flush=True)

"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A server in a process of its own: one that forks must not have gRPC's threads of a server in it."""
    with Daemon(tmp_path_factory.mktemp("data")) as running:
        yield running


def started(script: str, target: str, spool: Path) -> subprocess.Popen[str]:
    """Start the lines of *script* in a process of their own."""
    command = [sys.executable, "-c", START + script, target, str(spool)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True)


def run(script: str, target: str, spool: Path, *, timeout: float = 60) -> tuple[int, list[str]]:
    """Run the lines of *script* to their end, within *timeout* seconds; return the exit code, and what they said."""
    with started(script, target, spool) as process:
        try:
            output, _ = process.communicate(timeout=timeout)
        finally:  # what it forked and hangs holds its output open
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, output.splitlines()


def stored(daemon: Daemon, spool: Path) -> int:
    """Return how many interactions are stored of the recorders with *spool*, whose name is what they ask."""
    with Client(daemon.target) as client:
        return sum(spool.name == each.query for each in client.list_interactions(page_size=1000))


def spooled(spool: Path) -> int:
    """Return how many bytes are in *spool*."""
    return sum(each.stat().st_size for each in spool.rglob("*.spool"))


def test_an_exit_sends_what_is_left(daemon: Daemon, tmp_path: Path) -> None:
    """
    A process that just ends, without a close, loses nothing.
    """
    script = "recorder = Recorder(target, spool=spool)\nfor _ in range(3000): recorder.record(**FIELDS)"

    assert (0, []) == run(script, daemon.target, tmp_path)
    assert (3000, 0) == (stored(daemon, tmp_path), spooled(tmp_path))


def test_an_exit_spools_what_cannot_be_sent(tmp_path: Path) -> None:
    """
    A process that ends while the server is away leaves all on disk, and does not hang.
    """
    script = "recorder = Recorder('127.0.0.1:1', spool=spool)\nfor _ in range(300): recorder.record(**FIELDS)"
    before = time.monotonic()

    assert (0, []) == run(script, "", tmp_path)
    assert spooled(tmp_path) > 300 * 50
    assert time.monotonic() - before < 10


def test_what_nobody_holds_is_sent(daemon: Daemon, tmp_path: Path) -> None:
    """
    A recorder that is forgotten without a close sends what it has, and its thread ends.
    """
    script = """
Recorder(target, spool=spool).record(**FIELDS)
while threading.active_count() > 1: time.sleep(0.02)
say("ended")
"""

    assert (0, ["ended"]) == run(script, daemon.target, tmp_path)
    assert 1 == stored(daemon, tmp_path)


def test_an_exit_waits_for_what_nobody_holds(daemon: Daemon, tmp_path: Path) -> None:
    """
    A recorder that is forgotten just before the process ends loses nothing.
    """
    script = """
def unit():
    recorder = Recorder(target, spool=spool)
    for _ in range(50): recorder.record(**FIELDS)
unit()
"""

    assert (0, []) == run(script, daemon.target, tmp_path)
    assert (50, 0) == (stored(daemon, tmp_path), spooled(tmp_path))


def test_an_exit_waits_for_a_close_that_ran_out_of_time(tmp_path: Path) -> None:
    """
    What a close had no time to put into the spool is there when the process has ended.
    """
    script = """
from steward.recording.spool import Spool
append = Spool.append
def slow(self, records):  # as a disk may be
    time.sleep(1)
    return append(self, records)
Spool.append = slow
recorder = Recorder("127.0.0.1:1", spool=spool, max_age=60)
for _ in range(50): recorder.record(**FIELDS)
say(recorder.close(0.1).pending)
"""

    assert (0, ["50"]) == run(script, "", tmp_path)
    assert spooled(tmp_path) > 50 * 50


def test_an_exit_without_threads_spools_all(tmp_path: Path) -> None:
    """
    A process that gets no threads, as an interpreter that ends, has what each of its recorders took on disk.
    """
    script = """
def refuse(self): raise RuntimeError("can't start new thread")
threading.Thread.start = refuse
recorders = [Recorder("127.0.0.1:1", spool=os.path.join(spool, name)) for name in "ab"]
for each in recorders: each.record(**FIELDS)
"""

    assert (0, []) == run(script, "", tmp_path)
    assert (True, True) == (spooled(tmp_path / "a") > 50, spooled(tmp_path / "b") > 50)


def test_a_fork_opens_nothing_again(tmp_path: Path) -> None:
    """
    A recorder that is closing when the process forks is closed in the child.
    """
    script = """
from steward.recording.spool import Spool
recorder = Recorder("127.0.0.1:1", spool=spool, max_age=60)
recorder.record(**FIELDS)
close = Spool.close
def slow(self, **settled):  # as a disk may be
    time.sleep(1)
    close(self, **settled)
Spool.close = slow
recorder.close(0.1)
if os.fork() == 0:
    try:
        recorder.record(**FIELDS)
    except RuntimeError:
        os._exit(0 if threading.active_count() == 1 else 2)
    os._exit(1)
say(os.wait()[1])
"""

    assert (0, ["0"]) == run(script, "", tmp_path)


def test_sigterm_sends_what_is_left_and_ends_the_process(daemon: Daemon, tmp_path: Path) -> None:
    """
    A process that does not handle SIGTERM dies of it, as it would have, but first its recorders close.
    """
    script = """
recorder = Recorder(target, spool=spool, max_age=60)
for _ in range(100): recorder.record(**FIELDS)
say("recorded")
time.sleep(60)
"""
    with started(script, daemon.target, tmp_path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
        code = process.wait(timeout=20)

    assert -signal.SIGTERM == code
    assert (100, 0) == (stored(daemon, tmp_path), spooled(tmp_path))


@pytest.mark.parametrize("order", ["before", "after"])
def test_sigterm_is_not_stolen(daemon: Daemon, tmp_path: Path, order: str) -> None:
    """
    Whoever handles SIGTERM is called, whether it came before the recorder or after it, and recording goes on.
    """
    opening, handling = "recorder = Recorder(target, spool=spool)", "signal.signal(signal.SIGTERM, handler)"
    first, second = (handling, opening) if order == "before" else (opening, handling)
    script = f"""
def handler(number, frame): say("handled")
{first}
{second}
recorder.record(**FIELDS)
os.kill(os.getpid(), signal.SIGTERM)
recorder.record(**FIELDS)
say(recorder.close().acknowledged)
"""

    assert (0, ["handled", "2"]) == run(script, daemon.target, tmp_path)
    assert 2 == stored(daemon, tmp_path)


def test_sigterm_after_a_loop_that_handled_it_is_seen_to_again(tmp_path: Path) -> None:
    """
    Once asyncio has given SIGTERM back to nobody, the next recorder sees to it for all of them.
    """
    script = """
import asyncio
def opened():
    recorder = Recorder("127.0.0.1:1", spool=spool, max_age=60)
    for _ in range(100): recorder.record(**FIELDS)
    return recorder
async def main(): asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: None)
first = opened()
asyncio.run(main())
second = opened()
os.kill(os.getpid(), signal.SIGTERM)
"""

    assert (-signal.SIGTERM, []) == run(script, "", tmp_path)
    assert spooled(tmp_path) > 200 * 50


def test_a_handler_that_kills_finds_all_in_the_spool(tmp_path: Path) -> None:
    """
    Before a handler of SIGTERM is called, what is in memory only is on disk, whatever the handler does.
    """
    script = """
signal.signal(signal.SIGTERM, lambda number, frame: os._exit(3))
recorder = Recorder("127.0.0.1:1", spool=spool, max_age=60)
for _ in range(100): recorder.record(**FIELDS)
os.kill(os.getpid(), signal.SIGTERM)
"""

    assert (3, []) == run(script, "", tmp_path)
    assert spooled(tmp_path) > 100 * 50


def test_what_was_spooled_outlives_a_kill(daemon: Daemon, tmp_path: Path) -> None:
    """
    What a flush tells as spooled is on disk: a kill -9 loses none of it, and the next recorder sends it once.
    """
    script = """
with Recorder(target, spool=spool) as recorder:
    for _ in range(2500): recorder.record(**FIELDS)
    say(recorder.flush(3).spooled)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    gone = f"127.0.0.1:{daemon.target.rpartition(':')[2]}"
    daemon.process.send_signal(signal.SIGSTOP)
    try:
        code, said = run(script, gone, tmp_path)
    finally:
        daemon.process.send_signal(signal.SIGCONT)
    replay = """
with Recorder(target, spool=spool) as recorder:
    recorder.flush()
    while recorder.counters().replayed < 2500: time.sleep(0.02)
"""

    assert (-signal.SIGKILL, ["2500"]) == (code, said)
    assert (0, []) == run(replay, daemon.target, tmp_path)
    assert (2500, 0) == (stored(daemon, tmp_path), spooled(tmp_path))


def test_two_processes_share_a_spool(daemon: Daemon, tmp_path: Path) -> None:
    """
    What one process holds no other touches; once it is gone, exactly one takes it over.
    """
    away = """
recorder = Recorder(target, spool=spool)
for _ in range(100): recorder.record(**FIELDS)
say(recorder.flush(2).spooled)
sys.stdin.read()
"""
    replay = """
with Recorder(target, spool=spool) as recorder:
    recorder.record_now(**FIELDS)
    deadline = time.monotonic() + float(2)
    while time.monotonic() < deadline and recorder.counters().replayed < 100: time.sleep(.02)
    say(recorder.counters().replayed)
"""
    command = [sys.executable, "-c", START + away, daemon.target, str(tmp_path)]
    daemon.process.send_signal(signal.SIGSTOP)
    try:
        holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert holder.stdout is not None
        held = holder.stdout.readline()
        holder.send_signal(signal.SIGSTOP)
    finally:
        daemon.process.send_signal(signal.SIGCONT)
    meanwhile = run(replay, daemon.target, tmp_path)
    holder.kill()
    holder.communicate()
    both = [started(replay, daemon.target, tmp_path) for _ in range(2)]
    after = sorted(int(each.communicate(timeout=60)[0]) for each in both)

    assert "100\n" == held
    assert (0, ["0"]) == meanwhile
    assert 100 == sum(after)
    assert (103, 0) == (stored(daemon, tmp_path), spooled(tmp_path))


FORKS = """
recorder = Recorder(target, spool=spool)
{used}
for _ in range(50): recorder.record(**FIELDS)
for child in range(4):
    if os.fork() == 0:
        assert recorder.counters().recorded == 0, recorder.counters()
        for _ in range(100): recorder.record(**FIELDS)
        {ending}
for _ in range(4): assert os.wait()[1] == 0
if busy: busy.join()
report = recorder.flush(20)
say((report.acknowledged, report.pending, report.spooled))
"""
UNUSED = "busy = None"
IDLE = "busy = None; recorder.record_now(**FIELDS)"
BUSY = """
def work():
    for _ in range(300):
        recorder.record(**FIELDS)
        time.sleep(0.001)
busy = threading.Thread(target=work)
busy.start()
time.sleep(0.1)
"""
CLOSE = "report = recorder.close(); os._exit(0 if report.acknowledged + report.spooled == 100 else 1)"
FLUSH = "report = recorder.flush(20); os._exit(0 if report.acknowledged + report.spooled == 100 else 1)"
REPLAY = """
from pathlib import Path
with Recorder(target, spool=spool) as recorder:
    recorder.flush()
    while list(Path(spool).rglob("*.spool")): time.sleep(0.02)
"""


@pytest.mark.parametrize(
    ("used", "ending", "own"),
    [(UNUSED, "sys.exit()", 50), (IDLE, "sys.exit()", 51), (BUSY, CLOSE, 350), (IDLE, FLUSH, 51)],
    ids=["unused-exit", "idle-exit", "busy-close", "idle-flush"],
)
def test_a_fork_loses_and_doubles_nothing(daemon: Daemon, tmp_path: Path, used: str, ending: str, own: int) -> None:
    """
    A child begins empty; what was queued before the fork its parent sends.

    Where the parent was connected, what the child records goes to the spool, for another process to send.
    """
    code, said = run(FORKS.format(used=used, ending=ending), daemon.target, tmp_path)
    replayed = run(REPLAY, daemon.target, tmp_path)

    assert (0, [f"({own}, 0, 0)"]) == (code, said)
    assert (0, []) == replayed
    assert (own + 400, 0) == (stored(daemon, tmp_path), spooled(tmp_path))


def test_what_a_child_spools_is_sent_while_it_lives(daemon: Daemon, tmp_path: Path) -> None:
    """
    A child that may not connect lets go of what it spooled, and its parent sends it; the child goes on all the same.
    """
    script = """
from steward.recording import sender
sender.LOOK = 0.2
recorder = Recorder(target, spool=spool)
recorder.record_now(**FIELDS)
reading, writing = os.pipe()
if os.fork() == 0:
    os.close(writing)
    for _ in range(50): recorder.record(**FIELDS)
    first = recorder.flush(20).spooled
    os.read(reading, 1)
    for _ in range(50): recorder.record(**FIELDS)
    os._exit(0 if (first, recorder.close().spooled) == (50, 100) else 1)
os.close(reading)
while recorder.counters().replayed < 50: time.sleep(0.02)
say(recorder.counters().replayed)
os.close(writing)
say(os.wait()[1])
while recorder.counters().replayed < 100: time.sleep(0.02)
"""

    assert (0, ["50", "0"]) == run(script, daemon.target, tmp_path)
    assert (101, 0) == (stored(daemon, tmp_path), spooled(tmp_path))


def test_what_was_left_strands_no_worker(daemon: Daemon, tmp_path: Path) -> None:
    """
    A recorder that was only opened before the fork leaves gRPC to the children, though something is in the spool.
    """
    leave = "recorder = Recorder('127.0.0.1:1', spool=spool); recorder.record(**FIELDS)"
    script = """
recorder = Recorder(target, spool=spool)
time.sleep(0.5)  # in which a replay would begin
if os.fork() == 0:
    recorder.record(**FIELDS)
    report = recorder.flush(20)
    os._exit(0 if report.acknowledged == 1 else 1)
say(os.wait()[1])
"""
    left = run(leave, "", tmp_path)
    of_target(tmp_path, "127.0.0.1:1").rename(of_target(tmp_path, daemon.target))

    assert (0, []) == left
    assert (0, ["0"]) == run(script, daemon.target, tmp_path)


def test_a_worker_of_multiprocessing_sends_what_is_left(daemon: Daemon, tmp_path: Path) -> None:
    """
    A forked worker that ends without an exit, as those of multiprocessing do, loses nothing.
    """
    script = """
import multiprocessing
recorder = Recorder(target, spool=spool)
recorder.record_now(**FIELDS)
def work():
    for _ in range(50): recorder.record(**FIELDS)
worker = multiprocessing.get_context("fork").Process(target=work)
worker.start(); worker.join(); sys.exit(worker.exitcode)
"""

    assert (0, []) == run(script, daemon.target, tmp_path)
    assert (0, []) == run(REPLAY, daemon.target, tmp_path)
    assert (51, 0) == (stored(daemon, tmp_path), spooled(tmp_path))


def test_a_parent_sends_what_its_children_may_not(daemon: Daemon, tmp_path: Path) -> None:
    """
    Also one that records nothing itself, and had its connection for something else.
    """
    script = """
from steward import Client
from steward.recording import sender
sender.LOOK = 0.2
with Client(target) as client: client.get_summary()
recorder = Recorder(target, spool=spool)
read, write = os.pipe()
if os.fork() == 0:
    recorder.record(**FIELDS)
    os.write(write, b"%d" % recorder.flush(5).spooled)
    recorder.close()
    os._exit(0)
say(os.read(read, 1).decode())
while recorder.counters().replayed < 1: time.sleep(0.02)
os.wait()
recorder.close()
"""

    assert (0, ["1"]) == run(script, daemon.target, tmp_path)
    assert (1, 0) == (stored(daemon, tmp_path), spooled(tmp_path))


@pytest.mark.parametrize("runner", ["asyncio.run", "uvloop.run"])
def test_the_async_twin_runs_on_either_loop(daemon: Daemon, tmp_path: Path, runner: str) -> None:
    """
    A unit under asyncio's own loop or uvloop records, awaits a receipt and a flush, and leaves nothing behind.
    """
    script = f"""
import asyncio, uvloop
async def main():
    async with AsyncRecorder(target, spool=spool) as recorder:
        async def unit():
            for _ in range(100):
                recorder.record(**FIELDS)
                await asyncio.sleep(0)
            await recorder.record_now(**FIELDS)
        await asyncio.gather(*(unit() for _ in range(10)))
        say((await recorder.flush()).acknowledged)
{runner}(main())
say([each.name for each in threading.enumerate() if each.name == "steward-recorder"])
"""

    assert (0, ["1010", "[]"]) == run(script, daemon.target, tmp_path)
    assert (1010, 0) == (stored(daemon, tmp_path), spooled(tmp_path))


APPLICATION = """
import os
from steward import Recorder

recorder = Recorder(os.environ["STEWARD_TARGET"], spool=os.environ["SPOOL"])
FIELDS = {"session_id": "s", "user_role": "Dev", "query": os.path.basename(os.environ["SPOOL"])}
recorder.record_now(**FIELDS)  # the connection is in use when the workers are forked
for _ in range(10):
    recorder.record(**FIELDS)


def app(environ, start_response):
    for _ in range(10):
        recorder.record(**FIELDS)
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
"""


def test_every_worker_of_gunicorn_records(daemon: Daemon, tmp_path: Path) -> None:
    """
    Under the preload model each record of each of four workers, and of the application's loading, arrives once.
    """
    (tmp_path / "application.py").write_text(APPLICATION, encoding="utf-8")
    command = [sys.executable, "-m", "gunicorn", "--preload", "--workers=4", "--bind=127.0.0.1:0", "application:app"]
    environment = {**os.environ, "STEWARD_TARGET": daemon.target, "SPOOL": str(tmp_path)}
    log = tmp_path / "gunicorn.log"
    with log.open("w") as said:
        master = subprocess.Popen(command, stderr=said, cwd=tmp_path, env=environment)
    while not (address := re.findall(r"Listening at: http://(\S+)", log.read_text())):
        assert master.poll() is None, log.read_text()
        time.sleep(0.05)
    requests, workers = 0, set[bytes]()
    while len(workers) < 4 or requests < 100:
        asked = HTTPConnection(address[0])
        asked.request("GET", "/")
        workers.add(asked.getresponse().read())
        asked.close()
        requests += 1
    master.terminate()

    assert 0 == master.wait(timeout=30), log.read_text()
    assert (0, []) == run(REPLAY, daemon.target, tmp_path)
    assert (11 + 10 * requests, 0) == (stored(daemon, tmp_path), spooled(tmp_path))


@pytest.mark.timeout(3600)
def test_many_recorders_opened_and_closed_leave_nothing(daemon: Daemon, tmp_path: Path) -> None:
    """
    Threads, files and memory are flat, however many recorders there were, each of which sent something.
    """
    script = f"""
import gc, resource
def once():
    with Recorder(target, spool=spool) as recorder:
        recorder.record(**FIELDS)
        report = recorder.close()
        assert report.acknowledged + report.spooled == 1, report  # a server that is slow may leave it spooled
def held():
    gc.collect()
    pages = int(open("/proc/self/statm").read().split()[1])
    return threading.active_count(), len(os.listdir("/proc/self/fd")), pages * resource.getpagesize()
for _ in range(100): once()
before = held()
for _ in range({MANY}): once()
after, deadline = held(), time.monotonic() + 10
def more(): return [max(now - then, 0) for now, then in zip(after, before)][:2]  # fewer when gRPC let go of one late
while any(more()) and time.monotonic() < deadline:  # it lets go of a connection in its own time
    time.sleep(0.1)
    after = held()
print(*more(), sep="\\n"); say((after[2] - before[2]) // 1024)
"""

    code, said = run(script, daemon.target, tmp_path, timeout=60 + MANY / 20)

    assert 0 == code
    assert max(map(int, said[:2])) <= 0  # or less, where gRPC had not let go of all before
    assert int(said[2]) < 8192  # KiB


MANY = int(os.environ.get("STEWARD_RECORDERS", "200"))
