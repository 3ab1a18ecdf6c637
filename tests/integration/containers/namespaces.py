"""Containers without an engine: Linux namespaces, each with an address on one private switch.

The first process of each container does nothing but keep its namespaces. Commands enter the
namespaces, and killing the first process kills all others. Needs root; the network and the file
system of the machine do not change.
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
_FIRST_PROCESS = """
set -e
hostname {name}
mount -t overlay overlay -o lowerdir={root},upperdir={own}/upper,workdir={own}/work {own}/root
mount -t proc proc {own}/root/proc
mount --rbind /dev {own}/root/dev
{binds}
# Ready only inside: a command that enters earlier has the machine's root.
exec chroot {own}/root sh -c 'echo ready; exec sleep infinity'
"""


@dataclass(frozen=True)
class Image:
    """A file system, and user, variables and command of its processes."""

    root: Path
    user: int
    environment: Mapping[str, str]
    folder: str = "/"
    """Working directory of its processes."""
    command: Sequence[str] = ()
    binds: Mapping[str, Path] = field(default_factory=dict)
    """Path in the container to the file or folder that is mounted there."""


@dataclass(frozen=True)
class Container:
    """Namespaces that commands run in, as the image's user."""

    name: str
    image: Image
    environment: Mapping[str, str]
    holder: int
    """PID, on this machine, of the container's first process."""
    folder: Path
    """Folder of its writable files and its log."""

    def start(self, command: Sequence[str]) -> "subprocess.Popen[bytes]":
        """Start a command with its output in the container's log."""
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                self._inside(command), env=self._variables(), stdout=log, stderr=log
            )

    def run(
        self, command: Sequence[str], seconds: float = 120
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command and wait for its exit."""
        return subprocess.run(
            self._inside(command),
            env=self._variables(),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def log(self, characters: int = 3000) -> str:
        """The last characters of its log."""
        return (self.folder / "log").read_text(errors="replace")[-characters:]

    @contextlib.contextmanager
    def network(self) -> Iterator[None]:
        """Move the calling thread into the container's network: 127.0.0.1 is the container."""
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
    """A private network and its containers; its exit stops all of them."""

    folder: Path
    hosts: Sequence[str]
    """Host names in the order of their addresses, one for each container."""
    _holders: dict[str, "_Holder"] = field(default_factory=dict)

    def __enter__(self) -> "Switch":
        lines = [f"{_SUBNET}.{number} {name}" for number, name in enumerate(self.hosts, start=2)]
        (self.folder / "hosts").write_text("\n".join(["127.0.0.1 localhost", *lines, ""]))
        self._holders["switch"] = _start_namespaces(
            ["unshare", "--net"], "echo ready; exec sleep infinity"
        )
        self._ip("switch", "link add br0 type bridge", "link set br0 up")
        return self

    def __exit__(self, *_: object) -> None:
        first = [psutil.Process(holder.pid) for holder in self._holders.values()]
        for holder in reversed(self._holders.values()):
            holder.parent.kill()
            holder.parent.wait(30)
        left = psutil.wait_procs(first, timeout=60)[1]
        assert not left, f"containers run 60 s after their kill: {left}"

    def add(
        self,
        name: str,
        image: Image,
        environment: Mapping[str, str],
        *,
        volumes: Mapping[str, Path],
        network_of: str = "",
    ) -> Container:
        """A container without a command.

        Args:
            name: host name.
            image: its read-only lower file system.
            environment: in addition to the image's variables.
            volumes: path in the container to a folder or file of this machine.
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
        script = _FIRST_PROCESS.format(
            name=name,
            root=image.root,
            own=own,
            binds="\n".join(_bind(own / "root", *pair) for pair in binds.items()),
        )
        network = ["unshare", "--net"]
        if network_of:
            network = ["nsenter", "--target", str(self._pid(network_of)), "--net", "unshare"]
        self._holders[name] = _start_namespaces([*network, "--mount", "--uts", "--pid"], script)
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


def _start_namespaces(unshare: Sequence[str], script: str) -> _Holder:
    """Start the first process of new namespaces; return once it is ready.

    The kernel kills it when this process exits or is killed.
    """
    command = ["setpriv", "--pdeathsig", "KILL", *unshare, "--fork", "--kill-child", "sh", "-c"]
    parent = subprocess.Popen([*command, script], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    with parent.stdout as output:
        assert output.readline() == b"ready\n", (
            f"failed to create namespaces: {shlex.join(unshare)}"
        )
    (child,) = psutil.Process(parent.pid).children()
    return _Holder(parent, child.pid)


def _bind(root: Path, target: str, source: Path) -> str:
    path = f"{root}{target}"
    make = f"mkdir -p {path}" if source.is_dir() else f"mkdir -p $(dirname {path}); touch {path}"
    return f"{make}; mount --bind {source} {path}"


def _enter(descriptor: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
