"""Benching on another machine: a real sshd on this one, and an adb that replays a dialogue and loses connections."""

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from mimdit.benchmarks.devices import session
from mimdit.benchmarks.devices.adb import AdbLink
from mimdit.benchmarks.devices.address import Target
from mimdit.benchmarks.devices.link import DroppedError, Link
from mimdit.benchmarks.devices.local import LocalLink
from mimdit.benchmarks.devices.profiles import PROFILES, Profile, Requirement, find_profile
from mimdit.benchmarks.devices.session import Argument, bench_on
from mimdit.benchmarks.devices.ssh import SshLink
from mimdit.errors import MimditError

from .recorded_devices import PHONE
from .run_files import a_run

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
OPTIONS = ["--variant", "denoise", "--samples", "1", "--threads", "1"]


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, tuple[str, ...]]]:
    """(port, options) of an sshd of our own, with keys of its own."""
    if SSHD is None or shutil.which("scp") is None:
        pytest.skip("openssh-server is not installed")
    folder = tmp_path_factory.mktemp("sshd")
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    shutil.copyfile(folder / "user.pub", folder / "authorized")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = f"HostKey={folder / 'host'} AuthorizedKeysFile={folder / 'authorized'} StrictModes=no UsePAM=no"
    settings += f" ListenAddress=127.0.0.1 PidFile=none Port={port} Subsystem=sftp:internal-sftp PermitRootLogin=yes"
    arguments = [text for setting in settings.split() for text in ("-o", setting.replace(":", " "))]
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", exist_ok=True)
    server = subprocess.Popen([SSHD, "-D", "-e", "-f", "/dev/null", *arguments], stderr=subprocess.PIPE)
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    known = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR")
    yield port, ("-i", str(folder / "user"), "-F", "none", *known)
    server.terminate()
    server.wait()


class Flaky(SshLink):
    """Drops every third call, half of them after the device has already done what it was asked."""

    calls = 0

    def _shell(self, command: str) -> str:
        text = super()._shell(command)
        Flaky.calls += 1
        return "" if Flaky.calls % 3 == 0 else text

    def _copy(self, local: Path, remote: str) -> None:
        Flaky.calls += 1
        if Flaky.calls % 3 == 0:
            raise DroppedError("reset by peer")
        super()._copy(local, remote)


def a_target(link: Link, folder: Path, profile: Profile = PROFILES[0], python: str = sys.executable) -> Target:
    return Target(link, replace(profile, python=python, folder=str(folder)))


@pytest.fixture
def quick(tmp_path: Path) -> str:
    """A Python whose `mimdit bench` prints a run of whole cloth, or fails where it is asked for --variant dehaze."""
    (tmp_path / "run.json").write_text(a_run().model_dump_json())
    script = f"""#!/bin/sh
[ "$2" = mimdit ] || exec {sys.executable} "$@"
case "$*" in *dehaze*) echo "mimdit: choose from denoise" >&2; exit 2;; esac
sleep 1
cat {tmp_path}/run.json
"""
    (tmp_path / "quick-python").write_text(script)
    (tmp_path / "quick-python").chmod(0o755)
    return str(tmp_path / "quick-python")


def test_over_ssh_with_dropped_connections(ssh: tuple[int, tuple[str, ...]], small: Path, tmp_path: Path) -> None:
    port, options = ssh
    link = Flaky("127.0.0.1", port, options, wait=lambda seconds: None)
    target = a_target(link, tmp_path / "device")
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (40, 30), "grey").save(tmp_path / "photos" / "grey.png")
    folders = [Argument(None, small), Argument("--photos", tmp_path / "photos")]
    run = bench_on(target, folders, OPTIONS, sleep=lambda seconds: time.sleep(0.5))
    assert Flaky.calls > 10
    assert run.results[0].name == small.name
    assert [image.image for image in run.results[0].images] == ["grey.png"]
    assert run.provenance.mimdit
    left = {path.name.split("-")[0] for path in (tmp_path / "device").iterdir()}
    assert left == {"kit", "photos", small.name.split("-")[0]}  # pushed once and kept; the job is gone


@pytest.mark.install
def test_a_python_without_packages_is_sent_its_wheels(
    ssh: tuple[int, tuple[str, ...]], small: Path, tmp_path: Path
) -> None:
    port, options = ssh
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    python = str(tmp_path / "bare" / "bin" / "python")
    target = a_target(SshLink("127.0.0.1", port, options), tmp_path / "device", python=python)
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (40, 30), "grey").save(tmp_path / "photos" / "grey.png")
    folders = [Argument(None, small), Argument("--photos", tmp_path / "photos")]
    run = bench_on(target, folders, OPTIONS, sleep=lambda seconds: time.sleep(0.5))
    (kit,) = (tmp_path / "device").glob("kit-*/kit")
    assert (kit / "onnxruntime").is_dir()
    assert not (kit / "torch").exists()
    assert run.provenance.versions["onnxruntime"]
    assert run.results[0].images[0].error is None


def test_a_running_job_is_found_again(quick: str, small: Path, tmp_path: Path) -> None:
    """The first command dies while it waits; the second starts nothing anew and brings the result home."""

    class KilledError(Exception):
        pass

    def die(seconds: float) -> None:
        raise KilledError

    target = a_target(LocalLink(), tmp_path / "device", python=quick)
    with pytest.raises(KilledError):
        bench_on(target, [Argument(None, small)], OPTIONS, sleep=die)
    (job,) = [path for path in (tmp_path / "device").glob("job-*") if path.is_dir()]
    first = (job / "pid").read_text() if (job / "pid").is_file() else None
    seen: list[str] = []

    def watch(seconds: float) -> None:
        seen.append((job / "pid").read_text())
        time.sleep(0.2)

    run = bench_on(target, [Argument(None, small)], OPTIONS, sleep=watch)
    assert run.results
    assert len({*seen, *([first] if first else [])}) <= 1
    assert not job.exists()


def test_a_run_that_fails_there_says_why(quick: str, small: Path, tmp_path: Path) -> None:
    target = a_target(LocalLink(), tmp_path / "device", python=quick)
    with pytest.raises(MimditError, match=r"exit code 2: .*choose from"):
        bench_on(target, [Argument(None, small)], ["--variant", "dehaze"], sleep=lambda seconds: time.sleep(0.1))
    assert not list((tmp_path / "device").glob("job-*"))


def test_a_job_that_was_killed_is_started_anew(tmp_path: Path) -> None:
    job, target = f"{tmp_path}/job-1", a_target(LocalLink(), tmp_path)
    dies_once = f"test -f {tmp_path}/once || {{ touch {tmp_path}/once; kill -9 $$; }}"
    Path(f"{job}.sh").write_text(f"echo $$ > {job}/pid\n{dies_once}\necho 0 > {job}/exit\n")
    assert session._wait_for(target, job, lambda seconds: time.sleep(0.05)) == 0


FAKE_ADB = """#!{python}
import json, pathlib, subprocess, sys

state = pathlib.Path({state!r})
calls = json.loads(state.read_text()) if state.exists() else []
calls.append(sys.argv[1:])
state.write_text(json.dumps(calls))
assert sys.argv[1:3] == ["-s", "R5CT123"], sys.argv
if len(calls) % 4 == 0:
    sys.exit("error: device offline")
action, *rest = sys.argv[3:]
if action == "push":
    pathlib.Path(rest[1]).write_bytes(pathlib.Path(rest[0]).read_bytes())
    print(rest[0] + ": 1 file pushed, 0 skipped.")
else:
    for said, answer in json.loads({dialogue!r}).items():
        if said in rest[0]:
            print(answer)
            print("mimdit-exit-code 0")
            sys.exit(0)
    sys.exit(subprocess.run(["sh", "-c", rest[0]]).returncode)
"""


@pytest.fixture
def adb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Makes an `adb` that answers as a phone did; a shell command that the dialogue lacks runs here."""

    def make(dialogue: dict[str, str]) -> Path:
        calls = tmp_path / "adb-calls.json"
        program = tmp_path / "bin" / "adb"
        program.parent.mkdir(exist_ok=True)
        text = FAKE_ADB.format(python=sys.executable, state=str(calls), dialogue=json.dumps(dialogue))
        program.write_text(text)
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        return calls

    return make


def test_over_adb(adb, quick: str, small: Path, tmp_path: Path) -> None:
    calls = adb(PHONE)
    profile = find_profile("android")
    assert profile is not None
    target = a_target(AdbLink("R5CT123", wait=lambda seconds: None), tmp_path / "phone", profile, quick)
    run = bench_on(target, [Argument(None, small)], OPTIONS, sleep=lambda seconds: time.sleep(0.2))
    assert run.conditions.notes == {"model": "Pixel 9", "chip": "Tensor G4"}
    assert run.conditions.invalid is None
    assert any(call[2] == "push" for call in json.loads(calls.read_text()))


def test_a_hot_phone_is_not_measured(adb, small: Path, tmp_path: Path) -> None:
    adb({**PHONE, "dumpsys thermalservice": "Thermal Status: 3"})
    profile = find_profile("android")
    assert profile is not None
    target = Target(AdbLink("R5CT123", wait=lambda seconds: None), profile)
    with pytest.raises(MimditError, match=r"a run would be invalid, thermal status: .*let it cool down"):
        bench_on(target, [Argument(None, small)], OPTIONS)


def test_a_device_that_stays_away_is_one_line(adb) -> None:
    adb({})
    link = AdbLink("R5CT123", wait=lambda seconds: None)
    link._shell = lambda command: "error: device 'R5CT123' not found"  # type: ignore[method-assign]
    with pytest.raises(MimditError, match=r"lost the connection 6 times.*run the same command again"):
        link.run("true")


def test_a_push_is_whole_or_not_there(tmp_path: Path) -> None:
    class Short(LocalLink):
        def _copy(self, local: Path, remote: str) -> None:
            Path(remote).write_bytes(local.read_bytes()[:-1])

    source = tmp_path / "source"
    source.write_bytes(b"12345")
    link = Short()
    link._wait = lambda seconds: None
    with pytest.raises(MimditError, match="arrived short"):
        link.push(source, str(tmp_path / "there"))
    assert not (tmp_path / "there").exists()


def test_a_mode_that_changes_under_way_makes_the_run_invalid(quick: str, small: Path, tmp_path: Path) -> None:
    requirement = Requirement("mode", f"test -e {tmp_path}/hot && echo hot || echo cool", "^cool$", "wait")
    profile = Profile("test", (requirement,), python=quick, folder=str(tmp_path / "device"))

    def heat(seconds: float) -> None:
        (tmp_path / "hot").touch()
        time.sleep(0.2)

    run = bench_on(Target(LocalLink(), profile), [Argument(None, small)], OPTIONS, sleep=heat)
    assert run.conditions.invalid is not None
    assert "found 'hot'" in run.conditions.invalid
