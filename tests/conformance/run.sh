#!/bin/sh
# The official MCP conformance suite and the Inspector's check of the tools' schemas, against a
# server with an empty index. Needs Python with keenkite in it (PYTHON), npm, and a place for node
# packages (.conformance/, not committed). Exit code 0: nothing failed that the baselines do not
# explain, and nothing that they explain passes.
set -eu
cd "$(dirname "$0")/../.."
python=${PYTHON:-.venv/bin/python}
node_folder=.conformance
mkdir -p "$node_folder"

if [ ! -x "$node_folder/node_modules/.bin/conformance" ]; then
    npm install --prefix "$node_folder" --no-audit --no-fund --silent \
        node@22 @modelcontextprotocol/conformance@0.2.0-alpha.12 \
        @modelcontextprotocol/inspector@2.12.0
fi
PATH="$PWD/$node_folder/node_modules/.bin:$PATH"
export PATH

data=$(mktemp -d)
port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
KEENKITE_DATA="$data" KEENKITE_CATALOG="$data" KEENKITE_MODEL=keenkite-tiny \
    "$python" -m keenkite_server --transport http --port "$port" &
server=$!
trap 'kill $server 2>/dev/null || true; rm -rf "$data"' EXIT INT TERM
"$python" tests/conformance/wait.py "$port"

failed=0
for revision in 2025-11-25 2026-07-28; do
    echo "== MCP $revision =="
    conformance server --url "http://127.0.0.1:$port/mcp" --requirements "$revision" \
        --expected-failures "tests/conformance/$revision.yml" || failed=1
done

echo "== Inspector: tools/list --strict =="
KEENKITE_DATA="$data" KEENKITE_CATALOG="$data" mcp-inspector --cli \
    "$python" -m keenkite_server --method tools/list --strict > "$node_folder/tools.json" || failed=1
[ "$failed" = 0 ] && echo "Conformance: all as expected"
exit "$failed"
