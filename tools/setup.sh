#!/bin/sh
# Prepares a Debian machine for the laboratory and makes .venv: `make setup`. Quick when there is nothing to do.
#
# Debian packages are installed only if one of their programs is missing, by apt-get, with sudo where not root.
# Nothing is started on this machine, now or at its next boot: the laboratory runs its own copies of the daemons in
# network namespaces. While apt-get runs, a policy-rc.d that forbids every start stands in where there is none, and
# units that came with a new package are disabled afterwards. `systemctl enable --now keepalived` undoes that.
set -eu
cd "$(dirname "$0")/.."

# Other users than root do not have these in their PATH, where Debian puts most of the daemons.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

# program:package, or one word where both have the same name; a file by its path
PROGRAMS="
keepalived conntrackd conntrack nft:nftables dnsmasq:dnsmasq-base radvd ip:iproute2 tc:iproute2
sysctl:procps ping:iputils-ping tcpdump nsenter:util-linux unshare:util-linux haproxy curl wget openssl
charon-systemd swanctl:strongswan-swanctl vtysh:frr /usr/lib/frr/frr-reload.py:frr-pythontools xl2tpd pppd:ppp
/usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so:libcharon-extra-plugins
/usr/lib/ipsec/plugins/libstrongswan-eap-mschapv2.so:libcharon-extauth-plugins
/usr/lib/ipsec/plugins/libstrongswan-openssl.so:libstrongswan-standard-plugins
/usr/lib/ipsec/plugins/libstrongswan-curve25519.so:libstrongswan-extra-plugins
/usr/lib/python3/dist-packages/requests:python3-requests /usr/lib/python3/dist-packages/yaml:python3-yaml
/usr/lib/python3/dist-packages/configobj:python3-configobj
"
UNITS="keepalived conntrackd nftables radvd haproxy strongswan frr xl2tpd"
OLDEST_PYTHON="3.11"

fail() {
    echo "setup: $*" >&2
    exit 1
}

missing_packages() {
    for entry in $PROGRAMS; do
        [ -e "${entry%%:*}" ] || command -v "${entry%%:*}" >/dev/null 2>&1 || echo "${entry##*:}"
    done | sort -u | paste -sd ' ' -
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo "$@"
    else
        fail "not root, and there is no sudo; as root, run: apt-get install $packages"
    fi
}

# Runs as root in a shell of its own, so that the trap removes the policy however it ends.
INSTALL='
set -eu
policy=/usr/sbin/policy-rc.d
units=$1
shift
if [ ! -e "$policy" ]; then
    trap "rm -f $policy" EXIT
    trap "exit 130" INT TERM HUP
    printf "#!/bin/sh\nexit 101\n" >"$policy"
    chmod 755 "$policy"
fi
absent=""
for unit in $units; do
    [ -e "/lib/systemd/system/$unit.service" ] || absent="$absent $unit"
done
export DEBIAN_FRONTEND=noninteractive
apt-get -qq -o DPkg::Lock::Timeout=120 update || echo "setup: apt-get update failed; trying with the old lists" >&2
apt-get -qq -y -o DPkg::Lock::Timeout=120 install --no-install-recommends "$@"
if command -v systemctl >/dev/null 2>&1; then
    for unit in $absent; do
        [ ! -e "/lib/systemd/system/$unit.service" ] || systemctl --quiet disable "$unit.service"
    done
fi
'

install_packages() {
    packages=$*
    command -v apt-get >/dev/null 2>&1 ||
        fail "missing: $packages (names of Debian packages); install them by other means, there is no apt-get here"
    echo "setup: installing $packages"
    as_root sh -c "$INSTALL" install "$UNITS" "$@" || fail "could not install: $packages"
}

# A Python that is new enough and can make virtual environments (Debian splits that off as python3-venv).
find_python() {
    for python in ${PYTHON:-python3.11 python3.12 python3.13 python3 /usr/bin/python3}; do
        "$python" - "$OLDEST_PYTHON" 2>/dev/null <<'PROBE' && return
import ensurepip, sys, venv
if sys.version_info < tuple(map(int, sys.argv[1].split("."))):
    sys.exit(1)
print(sys.executable)
PROBE
    done
    return 1
}

packages=$(missing_packages)
if [ -n "$packages" ]; then
    # shellcheck disable=SC2086 # a list of words
    install_packages $packages
    still=$(missing_packages)
    [ -z "$still" ] || fail "still missing after the installation: $still (names of Debian packages)"
fi

stamp=.venv/.installed
# A virtual environment knows its own place, so it is made anew where the tree has been moved or copied.
wanted="$(pwd) $(cksum <pyproject.toml)"
if [ "$(cat $stamp 2>/dev/null)" != "$wanted" ] || ! .venv/bin/python -c '' 2>/dev/null; then
    python=$(find_python) || {
        install_packages python3 python3-venv
        python=$(find_python) || fail "no Python >= $OLDEST_PYTHON with venv found; set PYTHON to one"
    }
    echo "setup: making .venv with $python and installing the packages of pyproject.toml into it"
    "$python" -m venv --clear .venv
    .venv/bin/python -m pip --disable-pip-version-check --quiet install --editable '.[dev,bench]' ||
        fail "pip could not install the Python packages of pyproject.toml"
    echo "$wanted" >$stamp
fi

# Guests of the laboratory ask the router with cloud-init's own code. It is unpacked and not installed: installed, it
# would take this machine for a guest at its next boot.
unpack_cloud_init() (
    set -e
    command -v apt-get >/dev/null 2>&1
    rm -rf .venv/cloud-init.new
    mkdir .venv/cloud-init.new
    cd .venv/cloud-init.new
    apt-get -qq -o APT::Sandbox::User=root download cloud-init 2>/dev/null || {
        as_root apt-get -qq update
        apt-get -qq -o APT::Sandbox::User=root download cloud-init
    }
    dpkg-deb -x cloud-init_*.deb .
    rm cloud-init_*.deb
    cd ..
    mv cloud-init.new cloud-init
)
[ -d .venv/cloud-init ] || unpack_cloud_init ||
    echo "setup: no cloud-init from Debian's mirror; tests/lab/test_cloud_init.py will not run" >&2
