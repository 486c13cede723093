"""Run one program for exactly as long as standard input stays open: the program dies with whoever holds the pipe.

``python lifeline.py [--user UID GID] [--signal NUMBER] [--remove FOLDER]… PROGRAM ARGUMENT…``.  The kernel closes the
pipe when its holder ends, however it ends, so this works alike on Linux and macOS and needs no signal of the parent's.
The program gets the signal first (by default SIGINT, PostgreSQL's fast shutdown) and SIGKILL after five seconds; if
standard input closed, the folders are removed then.

This file imports nothing of the package, so that it starts in some 20 ms.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading

GRACE_SECONDS = 5.0


def main(arguments: list[str]) -> int:
    """Run the program of ``arguments`` until it ends or standard input closes; its exit code."""
    options: dict[str, object] = {}
    if arguments[:1] == ["--user"]:
        options = {"user": int(arguments[1]), "group": int(arguments[2]), "extra_groups": []}
        arguments = arguments[3:]
    ending = signal.SIGINT
    if arguments[:1] == ["--signal"]:
        ending, arguments = signal.Signals(int(arguments[1])), arguments[2:]
    folders = []
    while arguments[:1] == ["--remove"]:
        folders.append(arguments[1])
        arguments = arguments[2:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    program: subprocess.Popen[bytes] = subprocess.Popen(  # type: ignore[call-overload]
        arguments, stdin=subprocess.DEVNULL, start_new_session=True, **options
    )

    ended = threading.Event()

    def stop() -> None:
        program.send_signal(ending)
        try:
            program.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            program.kill()

    def watch() -> None:
        while os.read(0, 4096):
            pass
        ended.set()
        stop()

    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=stop, daemon=True).start())
    threading.Thread(target=watch, daemon=True).start()
    code = program.wait()
    for folder in folders if ended.is_set() else ():
        shutil.rmtree(folder, ignore_errors=True)
    # As a shell and a container say it: 128 and the number of the signal.
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
