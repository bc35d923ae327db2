"""Parts worked on by an existing Ray cluster: the extra ``fr-ensemble[cluster]``.

Ray schedules, moves the corpus and retries what a dead node had at work; here it is only asked. The
corpus travels once, by reference. Before anything is trained every node is asked what it runs and
on what: another version of the project, or processors whose last bits differ, are refused. Nodes
that join later show in their parts, each of which names its machine.

Ray is imported where it is used: it is an extra, and takes its time.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import platform
import socket
import threading
import time
from concurrent.futures import Future
from functools import cache, partial
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from fr_ensemble_assets import __version__
from fr_ensemble_assets.foundation.errors import UnusableInput
from fr_ensemble_assets.foundation.machine import ONE_KIND, machine_record, machine_told
from fr_ensemble_assets.foundation.progress import Cancelled, StepReport
from fr_ensemble_assets.foundation.wording import listed, shown
from fr_ensemble_assets.training.executors import ClusterTrouble, Part, Result

#: How long nobody may answer at an address, and how long every node may take to say what it is.
_ANSWER_S, _PROBE_S = 4.0, 60.0
#: A head that is out of reach for so long is given up: a partition of the network may be shorter.
_LOST_S = 25.0
_SECONDS_BETWEEN_LOOKS = 0.5
#: A task that its node took with it is tried again elsewhere; one that failed by itself never is.
_RETRIES = 5
_CONNECT_TRIES = 3
#: As what Ray raises that a node went.
_GONE = frozenset({"TaskUnschedulableError", "NodeDiedError", "WorkerCrashedError"})


# --- what nodes run ----------------------------------------------------------------------------


@cache
def project_identity() -> str:
    """Version and code of the project, and of what turns it into machine code."""
    root = Path(__file__).parents[1]
    code = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        code.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    made_by = ", ".join(
        f"{name} {importlib.import_module(name).__version__}" for name in ("numba", "numpy")
    )
    version = f"{__version__} (code {code.hexdigest()[:8]})"
    return f"{version}, Python {platform.python_version()}, {made_by}"


def _node_told() -> tuple[str, dict[str, Any]]:
    """What a node runs, and on what."""
    return project_identity(), machine_record()


# --- reaching a cluster ------------------------------------------------------------------------


def reach(address: str) -> None:
    """Connect this process to the cluster at ``address``, unless it is, and look at its nodes.

    Raises
    ------
    UnusableInput
        If Ray isn't installed here, no cluster answers there, it runs another version of Ray or of
        the project, or its nodes are of several kinds.
    ClusterTrouble
        If a node doesn't answer.
    """
    ray = _ray()
    if not ray.is_initialized():
        listens = address or _address_of_this_machine()
        if listens:
            _require_listener(listens)
        _connect(ray, address)
    _require_nodes(ray, address or "the cluster of this machine")


def _ray() -> Any:
    # Nobody is told what is done here, whatever the default of the version.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # A call after the end of a connection would start a Ray of its own, which listens everywhere.
    os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # else it writes between our sentences
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise UnusableInput(
            "--executor ray: expected the extra fr-ensemble[cluster], found no module 'ray'; "
            "pip install 'fr-ensemble[cluster]', or leave the option out."
        ) from error


def _address_of_this_machine() -> str:
    """Where Ray would look; a head that is gone would keep it busy for a minute."""
    noted = Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray" / "ray_current_cluster"
    with contextlib.suppress(OSError):
        told = os.environ.get("RAY_ADDRESS") or noted.read_text().strip()
        return told if "://" in told else f"ray://{told}"
    return ""


def _require_listener(address: str) -> None:
    """Somebody answers there, and speaks as Ray's clients do; else within seconds it is said."""
    place = urlsplit(address)
    try:
        port = place.port
        socket.create_connection((place.hostname or "", port or 0), _ANSWER_S).close()
        grpc = importlib.import_module("grpc")
        channel = grpc.insecure_channel(place.netloc)
        try:
            grpc.channel_ready_future(channel).result(timeout=_ANSWER_S)
        finally:
            channel.close()
    except (OSError, ValueError) as error:
        raise _unreachable(address, getattr(error, "strerror", None) or error) from error
    except Exception as error:  # grpc's own timeout has no public base
        raise _unreachable(address, "somebody who isn't Ray") from error


def _unreachable(address: str, found: object) -> UnusableInput:
    return UnusableInput(
        f"--executor {address}: expected a Ray cluster that answers, found '{shown(found)}'; start "
        "it (`ray start --head` in a private network), mend the address, or leave the option out."
    )


def _connect(ray: Any, address: str) -> None:
    for left in reversed(range(_CONNECT_TRIES)):
        try:
            ray.init(address or "auto", log_to_driver=False, logging_level="ERROR")
        except Exception as error:
            told = " ".join(str(error).split())
            # A busy head may not start its side of the conversation in time.
            if left and "Initialization failure" in told:
                continue
            raise _not_connected(ray, address, error, told) from error
        return


def _not_connected(ray: Any, address: str, error: Exception, message: str) -> UnusableInput:
    if "ersion" in message:  # Ray's own sentence names both
        return UnusableInput(
            f"--executor {address or 'ray'}: expected the cluster to run Ray {ray.__version__} "
            f"and Python {platform.python_version()} as here, found '{shown(message, 300)}'; "
            "install the same on both."
        )
    return _unreachable(address or "ray", message or type(error).__name__)


def _require_nodes(ray: Any, where: str) -> None:
    told = _ask_nodes(ray, where)
    ours, others = project_identity(), {}
    for node, (project, _) in told:
        if project != ours:
            others[node] = project
    if others:
        node, project = next(iter(others.items()))
        raise UnusableInput(
            f"{where}: expected fr-ensemble {ours} on every node as here, found "
            f"{shown(project, 200)} on {listed(others)}; install the same there."
        )
    kinds: dict[str, list[str]] = {}
    for node, (_, machine) in told:
        kinds.setdefault(machine_told(machine), []).append(node)
    if len(kinds) > 1:
        found = "; ".join(f"{kind} on {listed(nodes, 3)}" for kind, nodes in kinds.items())
        raise UnusableInput(
            f"{where}: expected nodes of one kind, since the last bits of their results differ, "
            f"found {found}; {ONE_KIND}."
        )


def _ask_nodes(ray: Any, where: str) -> list[tuple[str, tuple[str, dict[str, Any]]]]:
    """Address of each node that works, with its project and machine."""
    strategies = importlib.import_module("ray.util.scheduling_strategies")
    at_work = [n for n in ray.nodes() if n["Alive"] and n["Resources"].get("CPU", 0) >= 1]
    if not at_work:
        raise UnusableInput(
            f"{where}: expected nodes with processors, found none; "
            "add some (`ray start --address=HEAD:6379`)."
        )
    ask = ray.remote(num_cpus=0, max_retries=0)(_node_told)
    asked = {}
    for node in at_work:
        there = strategies.NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        asked[ask.options(scheduling_strategy=there).remote()] = node["NodeManagerAddress"]
    ready, silent = ray.wait(list(asked), num_returns=len(asked), timeout=_PROBE_S)
    if silent:
        raise ClusterTrouble(
            f"{where}: expected every node to answer within {_PROBE_S:.0f} s, found "
            f"{listed(asked[ref] for ref in silent)} silent: look at these nodes, then type the "
            "same command."
        )
    answers = ((asked[ref], _answer(ray, ref)) for ref in ready)
    # A node that was started anew is there twice for a while, under one address: as what it was,
    # which is gone and says nothing, and as what it is.
    return [(node, answer) for node, answer in answers if answer is not None]


def _answer(ray: Any, ref: Any) -> tuple[str, dict[str, Any]] | None:
    """What a node told; ``None`` where it is gone, which its cluster notices after a while."""
    try:
        project, machine = ray.get(ref)
        return str(project), dict(machine)
    except Exception as error:  # the project isn't there, or another
        if type(error).__name__ in _GONE:
            return None
        last = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        return f"none that answers ('{shown(last)}')", {}


# --- working ------------------------------------------------------------------------------------


class _Told:
    """An actor that remembers how far parts are, for whoever watches."""

    def __init__(self) -> None:
        self._told: dict[int, tuple[int, int]] = {}

    def tell(self, number: int, done: int, total: int) -> None:
        self._told[number] = done, total

    def take(self) -> dict[int, tuple[int, int]]:
        """What is new since the last time."""
        told, self._told = self._told, {}
        return told


def _work(part: Any, data: Any, told: Any, number: int, project: str) -> Any:
    """On a node: one part, one core; a node that joined late was asked nothing before."""
    from threadpoolctl import threadpool_limits

    from fr_ensemble_assets.training.compiled import compile_kernel

    if (here := project_identity()) != project:
        raise UnusableInput(
            f"{platform.node()}: expected fr-ensemble {project} as where the run is, found {here}; "
            "install the same there, then type the same command."
        )
    last = time.monotonic()

    def report(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _SECONDS_BETWEEN_LOOKS:
            last = time.monotonic()
            told.tell.remote(number, done, total)

    compile_kernel()
    with threadpool_limits(1):
        return part.work(data, report)


class RayCluster:
    """An executor on an existing cluster: a task a part, one core each.

    Parameters
    ----------
    address
        ``ray://HOST:PORT``, or nothing for the cluster that this machine is a node of.
    """

    def __init__(self, address: str = "") -> None:
        self._address = address
        self._offered: dict[str, Any] = {}
        self._open: dict[int, tuple[Any, Future[Any], StepReport]] = {}
        self._submitted = 0
        self._stop = threading.Event()
        self._lock = threading.Lock()

    def __enter__(self) -> RayCluster:
        reach(self._address)
        self._ray = _ray()
        self._head = _head_of(self._ray, self._address)
        self._where = self._address or "the cluster of this machine"
        task = self._ray.remote(num_cpus=1, max_retries=_RETRIES, retry_exceptions=False)
        self._task = task(_work)
        self._told = self._ray.remote(num_cpus=0, max_restarts=-1)(_Told).remote()
        for watch in (self._pass_on_progress, self._watch_the_head):
            threading.Thread(target=watch, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            self.cancel()
        self._stop.set()
        self._offered.clear()

    def offer(self, digest: str, data: object) -> None:
        self._offered[digest] = self._ray.put(data)

    def submit(self, part: Part[Result], report: StepReport) -> Future[Result]:
        future: Future[Result] = Future()
        future.set_running_or_notify_cancel()
        number, self._submitted = self._submitted, self._submitted + 1
        offered = self._offered[part.data]
        ref = self._task.remote(part, offered, self._told, number, project_identity())
        with self._lock:
            self._open[number] = ref, future, report
        ref.future().add_done_callback(partial(self._settle, number))
        return future

    def cancel(self) -> None:
        """Start nothing more; what is at work is interrupted between two blocks of epochs."""
        self._stop.set()
        left = self._take_all()
        for ref, future, _ in reversed(left):
            future.set_exception(Cancelled())
            if self._head.silence_s == 0:
                with contextlib.suppress(Exception):  # it may be done, or its node gone, by now
                    self._ray.cancel(ref, force=False)

    def _take_all(self) -> list[tuple[Any, Future[Any], StepReport]]:
        with self._lock:
            left, self._open = list(self._open.values()), {}
        return left

    def _settle(self, number: int, done: Future[Any]) -> None:
        with self._lock:
            found = self._open.pop(number, None)
        if found is None:
            return
        _, future, report = found
        error = done.exception()
        if error is not None:
            future.set_exception(_ours(error, self._where))
            return
        with contextlib.suppress(Cancelled):
            report(1, 1)
        future.set_result(done.result())

    def _pass_on_progress(self) -> None:
        """While there is work: what parts tell of themselves, to whoever watches."""
        while not self._stop.wait(_SECONDS_BETWEEN_LOOKS):
            try:
                told = self._told.take.remote().future().result(timeout=_LOST_S)
            except Exception:  # the actor's node went, or the head: others notice that
                continue
            for number, (done, total) in told.items():
                with self._lock:
                    report = self._open[number][2] if number in self._open else None
                if report is not None:
                    try:
                        report(done, total)
                    except Cancelled:
                        self.cancel()

    def _watch_the_head(self) -> None:
        """Ray would wait for a minute, and then end this process, without a word of ours."""
        while not self._stop.wait(_SECONDS_BETWEEN_LOOKS):
            if self._head.look() > _LOST_S:
                trouble = ClusterTrouble(
                    f"{self._where}: expected its head to answer, found it silent for "
                    f"{_LOST_S:.0f} s; what was finished is kept: start the cluster again, then "
                    "type the same command."
                )
                for _, future, _ in self._take_all():
                    future.set_exception(trouble)
                return


class _Head:
    """Whether a cluster's head is within reach; ``silence_s`` as of the last look."""

    def __init__(self, host: str, port: int) -> None:
        self._place = host, port
        self._heard = time.monotonic()
        self.silence_s = 0.0

    def look(self) -> float:
        try:
            socket.create_connection(self._place, _ANSWER_S).close()
        except OSError:
            self.silence_s = time.monotonic() - self._heard
        else:
            self._heard, self.silence_s = time.monotonic(), 0.0
        return self.silence_s


def _head_of(ray: Any, address: str) -> _Head:
    place = urlsplit(address or f"//{ray.get_runtime_context().gcs_address}")
    return _Head(place.hostname or "", place.port or 0)


def _ours(error: BaseException, where: str) -> BaseException:
    """What a part raised, as here; else that the cluster couldn't do it."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, Exception):
        return cause
    told = (str(error).strip().splitlines() or [""])[0]
    return ClusterTrouble(
        f"{where}: expected every part to be done, found '{type(error).__name__}: "
        f"{shown(told, 200)}' after {_RETRIES} tries elsewhere; what was finished is kept: look at "
        "the nodes, then type the same command."
    )
