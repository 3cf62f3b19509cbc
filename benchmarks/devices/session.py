"""A bench run on a device: kit and bundles there, `mimdit bench` there, the run file back. Resumable at every step.

Everything that is pushed is named by its content, so what lies there already is not pushed again. The run goes on when
the connection drops, and the same command finds it again: a job is named by what it runs. A result comes home only
when the run has ended and only if it is a whole run file.
"""

import hashlib
import shlex
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mimdit.benchmarks.devices.address import Target
from mimdit.benchmarks.devices.kit import fill_kit
from mimdit.benchmarks.devices.profiles import notes, wrong_mode
from mimdit.benchmarks.provenance import COMMIT_VARIABLE, commit
from mimdit.benchmarks.run_file import Run, parse_run
from mimdit.bundle_checks import hash_file
from mimdit.errors import MimditError

__all__ = ["Argument", "bench_on"]

_POLL = 5.0  # s
_JOB = "@JOB@"


@dataclass(frozen=True)
class Argument:
    """A folder of this machine as an argument of `mimdit bench`; option None: positional."""

    option: str | None
    folder: Path


def bench_on(
    target: Target,
    folders: Sequence[Argument],
    options: Sequence[str],
    *,
    tell: Callable[[str], object] = lambda line: None,
    sleep: Callable[[float], object] = time.sleep,
) -> Run:
    """Raises MimditError where the device is in a wrong power mode, cannot be reached, or the run failed there."""
    link, profile = target.link, target.profile
    if reason := wrong_mode(link, profile):
        raise MimditError(f"{link.name}: a run would be invalid, {reason}")
    link.check(f"mkdir -p {shlex.quote(profile.folder)}")
    home = link.check(f"cd {shlex.quote(profile.folder)} && pwd")
    if shlex.quote(home) != home:
        raise MimditError(f"{link.name}: {home!r:.100} has characters that a shell minds: set another folder")
    with tempfile.TemporaryDirectory() as scratch:
        kit = Path(scratch, "kit")
        kit.mkdir()
        fill_kit(kit, link, profile.python)
        tell(f"{link.name}: pushing mimdit and {len(folders)} folders")
        there = _push_folder(target, home, kit, Path(scratch))
        arguments: list[str] = []
        for argument in folders:
            name = _push_folder(target, home, argument.folder, Path(scratch))
            option = () if argument.option is None else (argument.option,)
            arguments += [*option, f"{name}/{argument.folder.name}"]
        script = _script(target, home, there, [*arguments, *options])
        job = f"{home}/job-{hashlib.sha256(script.encode()).hexdigest()[:12]}"
        path = Path(scratch, "job.sh")
        path.write_text(script.replace(_JOB, job))
        link.push(path, f"{job}.sh")
    tell(f"{link.name}: measuring")
    code = _wait_for(target, job, sleep)
    log = link.run(f"tail -n 1 {job}/log").out.strip()
    text = link.run(f"cat {job}/run.json").out
    if code not in (0, 1) or not text.strip():
        link.run(f"rm -rf {job} {job}.sh")
        raise MimditError(f"{link.name}: mimdit bench ended with exit code {code}: {log.removeprefix('mimdit: '):.300}")
    run = parse_run(text.encode(), f"{link.name}: the result")
    link.run(f"rm -rf {job} {job}.sh")  # measured and home: the same command measures anew
    reason = wrong_mode(link, profile)
    state = {"invalid": run.conditions.invalid or reason, "notes": notes(link, profile)}
    return run.model_copy(update={"conditions": run.conditions.model_copy(update=state)})


def _push_folder(target: Target, home: str, folder: Path, scratch: Path) -> str:
    """The folder, under its own name, inside a folder on the device that is named by its content."""
    archive = scratch / "folder.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        tar.add(folder.resolve(), arcname=folder.name)
    name = f"{home}/{folder.name}-{_content_hash(folder)}"
    if target.link.run(f"test -d {shlex.quote(name)}").code:
        target.link.push(archive, f"{name}.tar.gz")
        part, whole = shlex.quote(f"{name}.part"), shlex.quote(name)
        unpack = f"{target.profile.python} -m tarfile -e {whole}.tar.gz {part}"
        target.link.check(f"test -d {whole} || (rm -rf {part} && {unpack} && mv {part} {whole})")
        target.link.run(f"rm -f {whole}.tar.gz")
    return name


def _content_hash(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    listing = "\n".join(f"{path.relative_to(folder).as_posix()} {hash_file(path)}" for path in files)
    return hashlib.sha256(listing.encode()).hexdigest()[:12]


def _script(target: Target, home: str, kit: str, arguments: Sequence[str]) -> str:
    """_JOB stands for the job's folder, named after this text. The exit code appears when all else is written."""
    command = shlex.join([target.profile.python, "-m", "mimdit", "bench", *arguments, "--json"])
    lines = [
        f"cd {shlex.quote(home)}",
        f"export PYTHONPATH={shlex.quote(kit + '/kit')} NO_COLOR=1",
        f"export {COMMIT_VARIABLE}={shlex.quote(commit() or 'unknown')}",
        f"echo $$ > {_JOB}/pid",
        f"{command} > {_JOB}/run.json 2> {_JOB}/log",
        f"echo $? > {_JOB}/exit.part && mv {_JOB}/exit.part {_JOB}/exit",
    ]
    return "\n".join(lines) + "\n"


def _wait_for(target: Target, job: str, sleep: Callable[[float], object]) -> int:
    """Starts the job unless it is there already, and returns its exit code. A job that died unseen is started anew."""
    start = f"mkdir {job} 2>/dev/null && ($(command -v setsid) nohup sh {job}.sh > /dev/null 2>&1 < /dev/null &) ; true"
    alive = f"kill -0 $(cat {job}/pid 2>/dev/null) 2>/dev/null"
    look = f"cat {job}/exit 2>/dev/null || ({alive} && echo running || echo gone)"
    gone = 0
    target.link.check(start)
    while True:
        seen = target.link.check(look)
        if seen.isdigit():
            return int(seen)
        gone = gone + 1 if seen == "gone" else 0
        if gone == 3:  # thrice, because a job that has just begun has not yet written who it is
            target.link.check(f"rm -rf {job}")
            target.link.check(start)
        if gone > 6:
            raise MimditError(f"{target.link.name}: the run was killed twice without a word: look for a lack of memory")
        sleep(_POLL)
