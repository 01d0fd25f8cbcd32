"""Several processes as one run: how they find each other, agree, and end when one of them is lost."""

import ctypes
import functools
import json
import os
import re
import signal
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from restyle_jax.train.errors import TrainingError

HEARTBEAT_SECONDS = 60  # after which a silent process counts as lost
SHUTDOWN_SECONDS = 20  # how long a process that ends waits for the others
APART = (
    "restyle: error: the processes of this run did not find each other (see the message above). Check that all of them were "
    "started with the same host:port, which each must reach, and the same number of processes, and that each number of a process "
    "is used once.\n"
)
LOST = (
    "restyle: error: this process ends because another process of the run was lost (see the message above, and the output of "
    "the other processes). The checkpoints are intact: start the same command on all hosts again to continue.\n"
)

_keep: list[object] = []  # the C library holds a pointer to the handler


def connect(where: str, *, heartbeat_seconds: int = HEARTBEAT_SECONDS) -> None:
    """Join the other processes of this run. To be called before anything else touches a device.

    where: "auto" takes the address and the numbers from SLURM, Open MPI, GKE or a TPU pod; "host:port,processes,process"
        says them, as in "10.0.0.1:1234,2,0" for the first of two processes, which must run on that host.
    heartbeat_seconds: after which a process that does not answer counts as lost, and the others end with status 1.

    Raises TrainingError if `where` is neither, if nothing is detected, if the address cannot be used, or if there is no device.
    If the others do not come in time (five minutes), the JAX runtime ends the process; it then says so and has status 1.
    """
    initialize = functools.partial(
        jax.distributed.initialize,
        heartbeat_timeout_seconds=heartbeat_seconds,
        shutdown_timeout_seconds=SHUTDOWN_SECONDS,
    )
    explicit = _parsed(where) if where != "auto" else None
    # It would catch SIGTERM for itself, which is to end a process that does not train yet.
    jax.config.update("jax_enable_preemption_service", False)
    _explain_aborts(APART)
    try:
        if explicit is None:
            initialize()
        else:
            address, processes, process = explicit
            initialize(address, processes, process, cluster_detection_method="deactivate")
    except (ValueError, RuntimeError) as error:
        _explain_aborts(None)
        raise TrainingError(
            f"--distributed {where}: the processes of this run did not find each other ({str(error).splitlines()[0]}). "
            "auto works under SLURM, Open MPI, GKE and on TPU pods; elsewhere give host:port,processes,process, such as "
            "10.0.0.1:1234,2,0 on the first of two hosts, and leave --distributed out for a run on one host."
        ) from error
    _explain_aborts(LOST)
    check_devices()
    if jax.process_count() == 1:
        _explain_aborts(None)
    elif jax.default_backend() == "cpu":
        # A program that another process has put into the cache waits for ever in its first sum over processes.
        jax.config.update("jax_enable_compilation_cache", False)


def check_devices() -> None:
    """Raises TrainingError if JAX has no device."""
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # of a platform that it does not know, and of one that is not here
        raise TrainingError(
            f"JAX_PLATFORMS={os.environ.get('JAX_PLATFORMS', '')}: JAX finds no such device ({str(error) or 'none is here'}). "
            "Set the variable to cpu, or to another platform that this machine has."
        ) from error


def _parsed(where: str) -> tuple[str, int, int]:
    match = re.fullmatch(r"([^,\s]+):(\d{1,9}),(\d{1,9}),(\d{1,9})", where.strip())
    if match:
        port, processes, process = (int(match[group]) for group in (2, 3, 4))
        if 0 < port < 2**16 and process < processes:
            return f"{match[1]}:{port}", processes, process
    raise TrainingError(
        f"--distributed {where}: expected auto, or host:port,processes,process with a port from 1 to 65535 and process < "
        "processes, such as 10.0.0.1:1234,2,0."
    )


def _explain_aborts(message: str | None) -> None:
    """Say what happened when the JAX runtime aborts this process, which is how it reports that the others do not come, or that one
    was lost. None: say nothing, as before.

    The abort comes from inside the runtime, where Python's own signal handlers do not run: hence a C handler.
    """

    def handler(_: int) -> None:
        os.write(2, (message or "").encode())
        os._exit(1)

    function = ctypes.CFUNCTYPE(None, ctypes.c_int)(handler) if message else None  # the default
    _keep.append(function)
    ctypes.CDLL(None).signal(signal.SIGABRT, function)


def is_first() -> bool:
    """Whether this is process 0, which alone writes logs and models."""
    return jax.process_index() == 0


def together(action: Callable[[], None]) -> None:
    """Let process 0 do something; every process returns, or raises if it failed, so that none waits for one that gave up.

    Raises what the action raised in process 0, TrainingError in the others.
    """
    failure: Exception | None = None
    if is_first():
        try:
            action()
        except Exception as error:
            failure = error
    if any_process(failure is not None):
        raise failure or TrainingError("process 0 could not go on; its own message says why.")


def gathered(record: Any) -> list[Any]:
    """What each process calls `record`, as JSON, in the order of their numbers; every process has to call this."""
    text = np.frombuffer(json.dumps(record).encode(), np.uint8)
    lengths = multihost_utils.process_allgather(np.array(text.size))
    padded = np.pad(text, (0, int(lengths.max()) - text.size))
    rows = multihost_utils.process_allgather(padded)
    rows, lengths = (
        rows.reshape(-1, padded.size),
        lengths.reshape(-1),
    )  # one process gets its own back, without that axis
    return [json.loads(row[:length].tobytes()) for row, length in zip(rows, lengths, strict=True)]


def any_process(flag: bool) -> bool:
    """Whether the flag is set in any process."""
    return bool(np.any(multihost_utils.process_allgather(np.array(flag)))) if jax.process_count() > 1 else flag


def gather_rows(rows: jax.Array) -> np.ndarray:
    """All rows of an array that is split among the processes."""
    return np.asarray(multihost_utils.process_allgather(rows, tiled=True))
