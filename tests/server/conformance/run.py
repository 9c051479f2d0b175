"""The official MCP conformance suite, and the Inspector's strict check of the tools' schemas.

    python -m tests.server.conformance.run

Against a server with an empty index. Needs npm; node packages go to .conformance/, which is not
committed. Exit code 0: nothing failed but what the baselines explain, and all that they explain
still fails.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.support.paths import ROOT

NODE = ROOT / ".conformance"
PACKAGES = (
    "node@22",
    "@modelcontextprotocol/conformance@0.2.0-alpha.12",
    "@modelcontextprotocol/inspector@2.12.0",
)
REVISIONS = ("2025-11-25", "2026-07-28")


def main() -> int:
    install()
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "PATH": f"{NODE / 'node_modules' / '.bin'}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "server")]),
            "KEENKITE_DATA": folder,
            "KEENKITE_CATALOG": folder,
            "KEENKITE_MODEL": "keenkite-tiny",
        }
        server = [sys.executable, "-m", "keenkite_server"]
        port = free_port()
        process = subprocess.Popen(
            [*server, "--transport", "http", "--port", str(port)], env=environment, cwd=ROOT
        )
        try:
            wait_for(port)
            for revision in REVISIONS:
                print(f"== MCP {revision} ==", flush=True)
                command = [
                    "conformance", "server", "--url", f"http://127.0.0.1:{port}/mcp",
                    "--requirements", revision,
                    "--expected-failures", str(Path(__file__).parent / f"{revision}.yml"),
                ]  # fmt: skip
                if subprocess.run(command, env=environment, cwd=NODE).returncode:
                    failed.append(revision)
        finally:
            process.terminate()
            process.wait(timeout=30)
        print("== Inspector: tools/list --strict ==", flush=True)
        # It hands on no variables of its own accord.
        told = [f"{name}={environment[name]}" for name in ("PYTHONPATH", "KEENKITE_DATA")]
        command = ["mcp-inspector", "--cli", *(word for pair in told for word in ("-e", pair)),
                   *server, "--method", "tools/list", "--strict"]  # fmt: skip
        listed = subprocess.run(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE)
        if listed.returncode:
            print(listed.stdout.decode(errors="replace"))
            failed.append("Inspector")
    print(f"Failed: {', '.join(failed)}" if failed else "Conformance: all as expected")
    return bool(failed)


def install() -> None:
    if (NODE / "node_modules" / ".bin" / "conformance").exists():
        return
    if not shutil.which("npm"):
        sys.exit("The conformance suite needs npm: install Node, 20 or newer.")
    NODE.mkdir(exist_ok=True)
    command = ["npm", "install", "--prefix", str(NODE), "--no-audit", "--no-fund", "--silent"]
    subprocess.run([*command, *PACKAGES], check=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(port: int) -> None:
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    sys.exit("The server did not start.")


if __name__ == "__main__":
    sys.exit(main())
