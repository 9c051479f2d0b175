"""The process that builds the graph of a shard: `python optimise.py SHARD`.

It imports the engine and nothing else, and it ends when the process that started it ends, by
whatever means: the other side of its standard input closes, and the kernel then sends SIGIO, whose
default is to end a process. No thread could watch for that, since the engine keeps Python's lock.
"""

import fcntl
import os
import select
import sys

import qdrant_edge


def main() -> None:
    """Optimise the shard named on the command line."""
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([0], [], [], 0)[0]:
        sys.exit("the process that asked for this has ended")
    os.nice(10)  # searches come first
    shard = qdrant_edge.EdgeShard.load(sys.argv[1])
    shard.optimize()
    shard.flush()
    shard.close()


if __name__ == "__main__":
    main()
