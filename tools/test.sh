#!/bin/bash
# `make test`: every test, those without a laboratory beside those in one.
#
# The former take all the processor time that they can get, the latter mostly wait. So the former run as SCHED_IDLE
# (sched(7)), in what is left over: a process of a laboratory that wakes up has its processor at once. What a laboratory
# measures in milliseconds has the laboratory for itself, though. Only what needs root runs as root. Everything runs to
# its end, whatever fails.
set -uo pipefail
cd "$(dirname "$0")/.."

python=.venv/bin/python
[ "$(id -u)" = 0 ] && as_root=() || as_root=(sudo)
log=$(mktemp)
status=0

quick() { # it may have to wait long for its turn
    exec chrt --idle 0 ionice -c 3 "$python" -m pytest -n auto --dist worksteal -o timeout=900 -m "not lab"
}

laboratory() {
    "${as_root[@]}" "$python" -m pytest -p tests.plugins.lab_required --durations 15 "$@" || status=1
}

quick >"$log" 2>&1 &
trap 'kill $! 2>/dev/null; rm -f "$log"' EXIT
laboratory -n 2 --dist loadfile -m "lab and not timed and not vm"
laboratory -m "lab and timed"
lacks=$("${as_root[@]}" "$python" -c "from vpcrouter.appliers._kernel_features import lacks_ppp; print(lacks_ppp() or '')")
if [ -z "$lacks" ]; then
    laboratory tests/lab/test_kernel_ipsec.py
else
    echo "clients by L2TP: not tested here, $lacks; \`make test-vm\` emulates a machine that has it"
fi
echo "the tests without a laboratory, which ran beside these:"
wait $! || status=1
cat "$log"
exit $status
