#!/usr/bin/env python3
"""Builds the wheel, and uses what it installs as somebody would who has nothing else: `tests/package.py`

- the wheel, built by maturin from `pyproject.toml` in cargo's profile `dev`, says by its name which glibc it needs, and is installed
  into a fresh virtual environment: `vcq --version`, `vcq demo`, completions and manual pages work there, without Rust and
  without a network;
- the steps of the `Dockerfile` are those that this project needs: what is copied is enough for cargo, the user is no root, and a run
  writes nowhere but in its working directory (strace tells), so that the root of the container can be read-only.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "target"
MATURIN = "maturin==1.16.0"
PROFILE = "dev"

#: The newest glibc that the binary may need: that of Debian 12 and Ubuntu 22.04 is newer.
GLIBC_MAX = (2, 34)

#: Places that a container lets be written though its root is read-only.
WRITABLE = re.compile(r"/data/|/dev/(null|tty)|/proc/self/")


def run(*command, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=1200, **options)
    if done.returncode != 0:
        sys.exit(f"{command} exited with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def environment(folder, *packages):
    """The folder of programs of a new environment that holds these packages and no others."""
    run(sys.executable, "-m", "venv", "--clear", folder)
    run(folder / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages)
    return folder / "bin"


def build(work):
    maturin = TARGET / "package" / MATURIN.replace("==", "-")
    if not (maturin / "complete").exists():
        environment(maturin, MATURIN)
        (maturin / "complete").touch()
    run(maturin / "bin/maturin", "build", "--profile", PROFILE, "--locked", "--out", work, cwd=ROOT)
    [wheel] = work.glob("*.whl")
    return wheel


def check_wheel(wheel, work):
    print(f"{wheel.name}: {wheel.stat().st_size >> 20} MiB")
    needed = re.search(r"manylinux_(\d+)_(\d+)_", wheel.name)
    assert needed and tuple(map(int, needed.groups())) <= GLIBC_MAX, f"{wheel.name} needs more than glibc {GLIBC_MAX}"
    programs = environment(work / "fresh", "--no-index", wheel)
    bare = {"env": {"PATH": str(programs), "HOME": str(work)}, "cwd": work}
    version = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE).group(1)
    assert run("vcq", "--version", **bare) == f"vcq {version}\n"
    demo = run("vcq", "demo", "--dir", work / "demo", **bare)
    assert "complete" in demo and list((work / "demo").rglob("*.parquet")), demo
    for shell in ["bash", "zsh", "fish"]:
        assert "decode" in run("vcq", "completions", shell, **bare)
    run("vcq", "man", "--dir", work, **bare)
    assert ".TH" in (work / "vcq.1").read_text() and (work / "vcq-decode.1").exists()
    return programs / "vcq"


def steps():
    """The instructions of the Dockerfile with their arguments, line by line."""
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [tuple(line.split(maxsplit=1)) for line in lines]


def check_dockerfile(vcq, work):
    stages = [text for word, text in steps() if word == "FROM"]
    assert len(stages) == 2 and stages[0].endswith(" AS build"), stages
    [(_, copied)] = [step for step in steps() if step[0] == "COPY" and "--from=build" in step[1]]
    assert copied.split()[1:] == ["/build/target/release/vcq", "/usr/local/bin/vcq"], copied
    [user] = [text for word, text in steps() if word == "USER"]
    ids = user.split(":")
    assert all(id_.isdigit() and int(id_) > 0 for id_ in ids), f"{user} may be root"
    assert ("RUN", f"install -d -o {ids[0]} -g {ids[1]} /data") in steps(), "the user cannot write in /data"
    assert ("WORKDIR", "/data") in steps() and ("ENTRYPOINT", '["vcq"]') in steps()

    # COPY . . as .dockerignore leaves it, and cargo finds all that it names.
    ignored = (ROOT / ".dockerignore").read_text().split()
    copy = work / "build"
    shutil.copytree(ROOT, copy, ignore=lambda folder, names: [n for n in names if Path(folder) == ROOT and f"/{n}" in ignored])
    [build] = [text for word, text in steps() if word == "RUN" and "cargo" in text]
    assert build == "cargo build --release --locked --bin vcq", build
    run("cargo", "metadata", "--locked", "--offline", "--format-version", "1", cwd=copy)

    # ENTRYPOINT, as the user, in a folder of his: all that is opened to be written lies below it.
    data = work / "data"
    data.mkdir()
    command = [vcq, "demo", "--dir", "demo"]
    if os.getuid() == 0:
        os.chown(data, *map(int, ids))
        work.chmod(0o755)
        command = ["setpriv", f"--reuid={ids[0]}", f"--regid={ids[1]}", "--clear-groups", *command]
    log = work / "strace.log"
    calls = "trace=openat,open,creat,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat"
    run("strace", "-f", "-y", "-qq", "-o", log, "-e", calls, *command, cwd=data, env={"PATH": os.environ["PATH"]})
    written = [line for line in log.read_text().splitlines() if re.search(r"O_WRONLY|O_RDWR|O_CREAT|mkdir|rename|unlink", line)]
    assert len(written) > 10, "strace saw nothing"
    outside = [line for line in written if not is_inside(line, data)]
    assert not outside, "a read-only root would refuse:\n" + "\n".join(outside[:10])


def is_inside(line, data):
    """Whether a call names something below the working directory, or has failed."""
    if re.search(r"= -1 E", line):
        return True
    paths = re.findall(r'"([^"]*)"', line)
    absolute = [path for path in paths if path.startswith("/")]
    return all(path.startswith(f"{data}/") or WRITABLE.match(path) for path in absolute)


def main():
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        vcq = check_wheel(build(work), work)
        check_dockerfile(vcq, work)
    print("the wheel, its programs and the steps of the Dockerfile work")


if __name__ == "__main__":
    main()
