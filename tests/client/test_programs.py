"""What needs a program of its own: its end, its exit status, Ctrl-C, fork."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.client.lab import DEFINITIONS
from tests.subinterpreters import CRASH, WITHOUT_DAEMONS

ROOT = Path(__file__).parents[2]
HEAD = f"""
import os, signal, sys, threading, time
from puregrpc import Client, Stream
client = Client()
client.load([{str(DEFINITIONS)!r}], "lab.proto")
client.connect(sys.argv[1], plaintext=True)
"""


def start(address: str, body: str, *, isolated: bool = False) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    program = HEAD + textwrap.dedent(body)
    if isolated:
        code = f"import sys\nsys.argv = ['', {address!r}]\n{program}"
        program = f"from tests.subinterpreters import run_isolated\nrun_isolated({code!r})\nprint('over')"
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program, address],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def run(address: str, body: str, *, isolated: bool = False, timeout: float = 30) -> tuple[int, str, str]:
    with start(address, body, isolated=isolated) as process:
        out, err = process.communicate(timeout=timeout)
        return process.returncode, out, err


def test_a_program_does_not_end_before_its_streams(lab: str) -> None:
    status, out, err = run(
        lab,
        """
        stream = Stream(client, "lab.Bench/Count")
        stream.on("data", lambda message: print(message["index"]))
        stream.on("end", lambda: print("end"))
        stream.write({"count": 3, "interval_ms": 50})
        print("last line")
        """,
    )
    assert (status, out, err) == (0, "last line\n0\n1\n2\nend\n", "")


def test_a_stream_that_its_handler_half_closes_is_waited_for(lab: str) -> None:
    status, out, err = run(
        lab,
        """
        stream = Stream(client, "lab.Bench/Converse")
        seen = []
        def data(message):
            seen.append(message["text"])
            stream.write({"text": "again"}) if len(seen) < 3 else stream.end()
        stream.on("data", data)
        stream.on("end", lambda: print(seen))
        stream.write({"text": "first"})
        """,
    )
    assert (status, out, err) == (0, "['first', 'again', 'again']\n", "")


def test_a_stream_that_nobody_reads_does_not_hold_the_program_up(lab: str) -> None:
    began = time.monotonic()
    status, out, err = run(
        lab,
        """
        unread = Stream(client, "lab.Bench/Count")
        unread.write({"count": 500, "size": 100_000})
        idle = Stream(client, "lab.Bench/Converse")
        idle.on("end", lambda: print("end"))
        """,
    )
    assert (status, out, err) == (0, "end\n", "")
    assert time.monotonic() - began < 20


def test_what_a_handler_raised_and_nobody_saw_is_the_exit_status(lab: str) -> None:
    status, out, err = run(
        lab,
        """
        stream = Stream(client, "lab.Bench/Count")
        stream.on("data", lambda: 1 / 0)
        stream.on("end", lambda: print("end"))
        stream.write({"count": 3})
        """,
    )
    assert (status, out) == (1, "end\n")
    assert "ZeroDivisionError" in err
    status, _, err = run(
        lab,
        """
        stream = Stream(client, "lab.Bench/Count")
        stream.on("data", lambda: 1 / 0)
        stream.write({"count": 3})
        time.sleep(0.3)
        client.close()
        """,
    )
    assert status == 1
    assert err.count("ZeroDivisionError") == 1


def test_a_client_that_was_not_closed(lab: str) -> None:
    assert run(lab, "print(client.invoke('lab.Bench/Echo', {}).status)") == (0, "OK\n", "")


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_ctrl_c_cancels_the_call_and_leaves_the_client_usable(lab: str) -> None:
    with start(
        lab,
        """
        for attempt in range(2):
            print("calling", flush=True)
            try:
                client.invoke("lab.Bench/Hang", {})
            except KeyboardInterrupt:
                print("interrupted", client.invoke("lab.Bench/Echo", {}).status, flush=True)
        stream = Stream(client, "lab.Bench/CountAndHang")
        stream.write({"count": 1})
        print("calling", flush=True)
        try:
            for message in stream:
                pass
        except KeyboardInterrupt:
            stream.cancel()
            print("interrupted", client.invoke("lab.Bench/Echo", {}).status, flush=True)
        client.close()
        """,
    ) as process:
        assert process.stdout is not None
        for _ in range(3):
            assert process.stdout.readline() == "calling\n"
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "interrupted OK\n"
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out, err) == (0, "", "")


def test_samples_that_are_written_to_a_file_are_there_at_the_end(lab: str, tmp_path: Path) -> None:
    status, _, err = run(
        lab,
        f"""
        from puregrpc.metrics import JsonLines
        client.metrics.listen(JsonLines(open({str(tmp_path / "samples")!r}, "w")))
        client.invoke("lab.Bench/Echo", {{}})
        keep = threading.Thread(target=lambda client: time.sleep(100), args=(client,), daemon=True)
        keep.start()
        """,
    )
    assert (status, err) == (0, "")
    assert '"data_received"' in (tmp_path / "samples").read_text().splitlines()[-1]


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
@pytest.mark.parametrize("last", ["", "stream.wait()"])
def test_ctrl_c_ends_a_program_that_waits_for_its_streams(lab: str, last: str) -> None:
    with start(
        lab,
        f"""
        stream = Stream(client, "lab.Bench/Count")
        stream.on("data", lambda message: message["index"] or print("streaming", flush=True))
        stream.write({{"count": 1000, "interval_ms": 50}})
        {last}
        """,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "streaming\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=5)
        assert process.returncode == (-signal.SIGINT if last else 130)
        assert err.count("KeyboardInterrupt") == bool(last)


def test_a_program_that_an_exception_ends_does_not_wait_for_its_streams(lab: str) -> None:
    status, _, err = run(
        lab,
        """
        stream = Stream(client, "lab.Bench/Count")
        stream.on("data", lambda: None)
        stream.write({"count": 1000, "interval_ms": 50})
        raise KeyError("main")
        """,
        timeout=8,
    )
    assert status == 1
    assert err.endswith("KeyError: 'main'\n")


def test_a_handlers_exception_at_the_end_loses_nothing_else(lab: str, tmp_path: Path) -> None:
    status, out, err = run(
        lab,
        f"""
        import atexit
        atexit.register(lambda: print("exit function"))
        file = open({str(tmp_path / "out")!r}, "w")
        file.write("unflushed")
        stream = Stream(client, "lab.Bench/Count")
        stream.on("data", lambda: 1 / 0)
        stream.write({{"count": 3}})
        print("no newline", end=" ")
        """,
    )
    assert (status, out) == (1, "no newline exit function\n")
    assert err.count("ZeroDivisionError") == 1
    assert (tmp_path / "out").read_text() == "unflushed"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_child_process_gets_a_clear_error_and_the_parent_goes_on(lab: str) -> None:
    status, out, err = run(
        lab,
        """
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # Python's own, of fork in a program with threads
        stream = Stream(client, "lab.Bench/Converse")
        child = os.fork()
        if not child:
            for use in (lambda: client.invoke("lab.Bench/Echo", {}), lambda: client.connect(sys.argv[1]),
                        lambda: client.health_check(), lambda: stream.write({}), lambda: Stream(client, "x/y")):
                try:
                    use()
                    print("no error")
                except Exception as error:
                    print(type(error).__name__, "make a new Client after fork" in str(error), flush=True)
            client.close()
            with Client() as fresh:
                fresh.load(None, sys.argv[0]) if False else None
                fresh.connect(sys.argv[1], plaintext=True, reflect=True)
                print("fresh", fresh.invoke("lab.Bench/Echo", {}).status, flush=True)
            sys.exit(0)
        print("child", os.waitpid(child, 0)[1], flush=True)
        stream.write({"text": "still"})
        stream.end()
        print([message["text"] for message in stream], client.invoke("lab.Bench/Echo", {}).status)
        """,
    )
    assert err == ""
    assert status == 0
    assert out.splitlines() == ["LocalProtocolError True"] * 5 + ["fresh OK", "child 0", "['still'] OK"]


@pytest.mark.skipif(not WITHOUT_DAEMONS, reason=CRASH)
@pytest.mark.parametrize("end", ["stream.wait(); client.close()", ""], ids=["close", "leave"])
def test_in_an_interpreter_without_daemons(lab: str, end: str) -> None:
    status, out, err = run(
        lab,
        f"""
        assert client.invoke("lab.Bench/Echo", {{"aString": "a"}}).message["aString"] == "a"
        assert client.async_invoke("lab.Bench/Echo", {{"aString": "b"}}).result(10).message["aString"] == "b"
        stream = Stream(client, "lab.Bench/Count")
        stream.on("data", lambda message: print(message["index"], flush=True))
        stream.on("end", lambda: print("end", flush=True))
        stream.write({{"count": 3, "interval_ms": 20}})
        {end}
        """,
        isolated=True,
    )
    assert (status, out, err) == (0, "0\n1\n2\nend\nover\n", "")


@pytest.mark.skipif(not WITHOUT_DAEMONS, reason=CRASH)
def test_an_interpreter_beside_the_main_one_does_not_end_the_process(lab: str) -> None:
    status, out, err = run(
        lab,
        """
        stream = Stream(client, "lab.Bench/Count")
        stream.on("data", lambda: 1 / 0)
        stream.write({"count": 3})
        """,
        isolated=True,
    )
    assert (status, out) == (0, "over\n")
    assert "ZeroDivisionError" in err
