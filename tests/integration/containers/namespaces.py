"""Containers without an engine: Linux namespaces, each with an address on one private switch.

Each container has a process of its own that only holds its namespaces. Commands enter them, and
ending that process ends every other one inside. Needs root; nothing of the machine's own network
or file system changes.
"""

import contextlib
import ctypes
import os
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

_CLONE_NEWNET = 0x40000000
_SUBNET = "10.88.0"
_HOLD = """
set -e
hostname {name}
mount -t overlay overlay -o lowerdir={root},upperdir={own}/upper,workdir={own}/work {own}/root
mount -t proc proc {own}/root/proc
mount --rbind /dev {own}/root/dev
{binds}
echo ready
exec chroot {own}/root sleep infinity
"""


@dataclass(frozen=True)
class Image:
    """A file system and how its processes start."""

    root: Path
    user: int
    environment: Mapping[str, str]
    folder: str = "/"
    """Working folder of its processes."""
    command: Sequence[str] = ()
    binds: Mapping[str, Path] = field(default_factory=dict)
    """Path in the container to what is mounted there."""


@dataclass(frozen=True)
class Container:
    """Namespaces that commands run in, as the image's user."""

    name: str
    image: Image
    environment: Mapping[str, str]
    holder: int
    """Process of this machine that is the container's first."""
    folder: Path
    """Its writable files and its log."""

    def start(self, command: Sequence[str]) -> "subprocess.Popen[bytes]":
        """Begin a command whose output goes to the container's log."""
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                self._inside(command), env=self._variables(), stdout=log, stderr=log
            )

    def run(
        self, command: Sequence[str], seconds: float = 120
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        return subprocess.run(
            self._inside(command),
            env=self._variables(),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def log(self, characters: int = 3000) -> str:
        """The end of what its commands wrote."""
        return (self.folder / "log").read_text(errors="replace")[-characters:]

    @contextlib.contextmanager
    def network(self) -> Iterator[None]:
        """Give the calling thread the container's network, so that 127.0.0.1 is the container."""
        with (
            Path("/proc/thread-self/ns/net").open() as ours,
            Path(f"/proc/{self.holder}/ns/net").open() as theirs,
        ):
            _enter(theirs.fileno())
            try:
                yield
            finally:
                _enter(ours.fileno())

    def _inside(self, command: Sequence[str]) -> list[str]:
        user = str(self.image.user)
        enter = ["nsenter", "--target", str(self.holder), "--net", "--mount", "--uts", "--pid"]
        enter += ["--root", "--setuid", user, "--setgid", user, "--"]
        return [*enter, "sh", "-c", 'cd "$0" && exec "$@"', self.image.folder, *command]

    def _variables(self) -> dict[str, str]:
        return {**self.image.environment, **self.environment}


@dataclass
class Switch:
    """A private network and the containers on it; ending it ends them all."""

    folder: Path
    hosts: Sequence[str]
    """Names in order of their addresses; each container's own is among them."""
    _holders: dict[str, "_Holder"] = field(default_factory=dict)

    def __enter__(self) -> "Switch":
        lines = [f"{_SUBNET}.{number} {name}" for number, name in enumerate(self.hosts, start=2)]
        (self.folder / "hosts").write_text("\n".join(["127.0.0.1 localhost", *lines, ""]))
        self._holders["switch"] = _hold(["unshare", "--net"], "echo ready; exec sleep infinity")
        self._ip("switch", "link add br0 type bridge", "link set br0 up")
        return self

    def __exit__(self, *_: object) -> None:
        first = [psutil.Process(holder.pid) for holder in self._holders.values()]
        for holder in reversed(self._holders.values()):
            holder.parent.kill()
            holder.parent.wait(30)
        left = psutil.wait_procs(first, timeout=60)[1]
        assert not left, f"containers outlived their end by 60 s: {left}"

    def add(
        self,
        name: str,
        image: Image,
        environment: Mapping[str, str],
        *,
        volumes: Mapping[str, Path],
        network_of: str = "",
    ) -> Container:
        """A container with nothing running in it yet.

        Args:
            name: its host name.
            image: what it starts from; what it writes goes elsewhere.
            environment: added to the image's.
            volumes: folder in the container to where its files are kept, or a file to its source.
            network_of: a container whose network it shares.
        """
        own = self.folder / name
        for part in ("upper", "work", "root"):
            (own / part).mkdir(parents=True)
        for path in volumes.values():
            if not path.is_file():
                path.mkdir(exist_ok=True)
                os.chown(path, image.user, image.user)
        binds = {"/etc/hosts": self.folder / "hosts", **image.binds, **volumes}
        script = _HOLD.format(
            name=name,
            root=image.root,
            own=own,
            binds="\n".join(_bind(own / "root", *pair) for pair in binds.items()),
        )
        network = ["unshare", "--net"]
        if network_of:
            network = ["nsenter", "--target", str(self._pid(network_of)), "--net", "unshare"]
        self._holders[name] = _hold([*network, "--mount", "--uts", "--pid"], script)
        if not network_of:
            self._plug(name)
        return Container(name, image, environment, self._pid(name), own)

    def _pid(self, name: str) -> int:
        return self._holders[name].pid

    def _plug(self, name: str) -> None:
        port, address = f"v{len(self._holders)}", f"{_SUBNET}.{self.hosts.index(name) + 2}/24"
        self._ip(
            "switch",
            f"link add {port} type veth peer name eth0 netns {self._pid(name)}",
            f"link set {port} master br0 up",
        )
        self._ip(name, f"addr add {address} dev eth0", "link set eth0 up", "link set lo up")

    def _ip(self, name: str, *commands: str) -> None:
        enter = ["nsenter", "--target", str(self._pid(name)), "--net", "ip"]
        for command in commands:
            subprocess.run([*enter, *command.split()], check=True)


@dataclass(frozen=True)
class _Holder:
    parent: "subprocess.Popen[bytes]"
    pid: int


def _hold(unshare: Sequence[str], script: str) -> _Holder:
    """Start the first process of new namespaces; returns once it is ready.

    It ends with this process, also when that is killed.
    """
    command = ["setpriv", "--pdeathsig", "KILL", *unshare, "--fork", "--kill-child", "sh", "-c"]
    parent = subprocess.Popen([*command, script], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    with parent.stdout as output:
        assert output.readline() == b"ready\n", f"no namespaces by {shlex.join(unshare)}"
    (child,) = psutil.Process(parent.pid).children()
    return _Holder(parent, child.pid)


def _bind(root: Path, target: str, source: Path) -> str:
    place = f"{root}{target}"
    make = f"mkdir -p {place}" if source.is_dir() else f"mkdir -p $(dirname {place}); touch {place}"
    return f"{make}; mount --bind {source} {place}"


def _enter(descriptor: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
