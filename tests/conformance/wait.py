"""Wait until something listens on a port of this machine: wait.py PORT."""

import socket
import sys
import time

for _ in range(600):
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", int(sys.argv[1]))) == 0:
            sys.exit()
    time.sleep(0.1)
sys.exit("the server did not start")
