"""Commands in processes of their own that are not loaded anew: each is a copy of one that is ready.

Loading the planner takes longer than most commands of a small study. A server loads all of it once; who asks (this file
as a program, with nothing but a socket) hands over its words, folder, environment and open files, and ends with the
exit code of the copy.
"""

import marshal
import os
import socket
import sys

CODE_BYTES = 8


def ask(address: str, words: list[str]) -> int:
    """Have a command run by the server; its exit code."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        asked = marshal.dumps((words, os.getcwd(), dict(os.environ)))
        socket.send_fds(connection, [len(asked).to_bytes(CODE_BYTES, "big")], [0, 1, 2])
        connection.sendall(asked)
        code = connection.recv(CODE_BYTES)
    return int.from_bytes(code, "big") if code else 1


def serve(listening: socket.socket) -> None:
    """Answer until the process that began this one has ended; in a copy, returns with a command to run."""
    import importlib
    import pkgutil
    import select

    import planner

    for module in pkgutil.walk_packages(planner.__path__, "planner."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    asked_of_me, my_end = listening.fileno(), sys.stdin.fileno()
    while my_end not in (ready := select.select([asked_of_me, my_end], [], [])[0]):
        assert asked_of_me in ready
        connection, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            return become(connection)
        connection.close()
        while _has_ended():
            pass
    os._exit(0)


def _has_ended() -> bool:
    """Whether there was a copy that has ended since."""
    try:
        return os.waitpid(-1, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return False


def become(connection: socket.socket) -> None:
    """Be what was asked for; a process between it and the server waits for its end and says how it was."""
    length, files, _, _ = socket.recv_fds(connection, CODE_BYTES, 3)
    words, folder, environment = marshal.loads(connection.recv(int.from_bytes(length, "big"), socket.MSG_WAITALL))
    if copy := os.fork():
        code = os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1])
        connection.sendall((code if code >= 0 else 128 - code).to_bytes(CODE_BYTES, "big"))
        os._exit(0)
    connection.close()
    for mine, file in enumerate(files):
        os.dup2(file, mine)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["planner", *words]


if __name__ == "__main__":
    if sys.argv[1] != "serve":
        sys.exit(ask(sys.argv[1], sys.argv[2:]))
    serve(socket.socket(fileno=int(sys.argv[2])))
    from planner.cli.start import run

    run()
