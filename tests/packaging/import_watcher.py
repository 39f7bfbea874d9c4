"""Import modules and print every side effect: a socket, a file or folder written, a setting read.

    python import_watcher.py MODULE…
"""
import importlib
import os
import sys

PACKAGE = "yelp_reviews"
PREFIXES = ("YELP_", "MLFLOW_")


def is_ours(frame) -> bool:
    "Whether this package asked, rather than the import of somebody else's module."
    while frame and not frame.f_globals.get("__name__", "").startswith(PACKAGE):
        if frame.f_code.co_name == "<module>": return False
        frame = frame.f_back
    return frame is not None


class WatchedEnviron(type(os.environ)):
    "The environment; reading a setting from it is printed."
    def __getitem__(self, key):
        if str(key).upper().startswith(PREFIXES) and is_ours(sys._getframe(1)): print("reads", key)
        return super().__getitem__(key)

    def __iter__(self):
        if is_ours(sys._getframe(1)): print("reads the whole environment")
        return super().__iter__()


def watch(event: str, args: tuple):
    "Audit hook: print events that touch the network or the disk."
    if event in ("socket.connect", "socket.bind") and is_ours(sys._getframe(1)): print(event, args)
    if event == "os.mkdir": print(event, args)
    if event == "open":
        path, mode = str(args[0]), args[1]
        writes = isinstance(mode, str) and set(mode) & set("wax+")
        if writes and "__pycache__" not in path: print("writes", path)


if __name__ == "__main__":
    os.environ.__class__ = WatchedEnviron
    sys.addaudithook(watch)
    for module in sys.argv[1:]: importlib.import_module(module)
