#!/usr/bin/env bash
# Makes sure that what the tests and the build use is there, and says what it does.
#   need.sh go       the Go toolchain that go.mod asks for; never installed, only looked for
#   need.sh lab      also moto 5.2, which astern lab runs: on PATH, or installed into build/moto by uv or pip
#   need.sh tests    also that, and gcc, git, python3, sshd and prometheus: installed by apt-get when root on a Debian-like machine, else named;
#                    and whether this login may mount disks of its own
# Exits 1 when something is missing that can't be done without. Under CI=true everything is needed: a test that is
# skipped for want of a program would look like one that passed.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }

need_go() {
	local want have
	want=$(awk '$1 == "go" { print $2; exit }' go.mod)
	if ! command -v go >/dev/null; then
		say "Go is not installed (or not on PATH). astern needs Go $want or newer: https://go.dev/dl"
		exit 1
	fi
	# Run inside the module, go picks the toolchain that go.mod asks for where the user's GOTOOLCHAIN lets it.
	if ! have=$(go env GOVERSION 2>&1); then
		say "astern needs Go $want or newer: $have"
		exit 1
	fi
	have=${have#go}
	if [ "$(printf '%s\n' "$want" "${have%%[- ]*}" | sort -V | head -n 1)" != "$want" ]; then
		say "astern needs Go $want or newer; this is Go $have: https://go.dev/dl"
		exit 1
	fi
	if [ -z "$(go env GOCACHE 2>/dev/null)" ] || [ -z "$(go env GOPATH 2>/dev/null)" ]; then
		say "Go does not know where to keep its cache: set HOME (or GOPATH and GOCACHE)."
		exit 1
	fi
}

# The version is the one that the lab is written for. The command line of AWS is for its tests.
need_lab() {
	local moto=build/moto
	! { has moto_server && has aws; } || return 0
	[ ! -x "$moto/bin/moto_server" ] || return 0
	say "installing moto 5.2 into $moto"
	rm -rf "$moto"
	if has uv; then
		uv venv -q "$moto" >&2 && VIRTUAL_ENV="$PWD/$moto" uv pip install -q 'moto[server]>=5.2,<5.3' awscli >&2
	else
		python3 -m venv "$moto" >&2 && "$moto/bin/pip" install -q --disable-pip-version-check 'moto[server]>=5.2,<5.3' awscli >&2
	fi && [ -x "$moto/bin/moto_server" ] && return 0
	rm -rf "$moto"
	say "moto could not be installed: it needs Python 3.9 or newer with venv (or uv), and PyPI"
	say "elsewhere: pip install 'moto[server]>=5.2,<5.3', so that moto_server is on PATH"
	exit 1
}

# sshd is often outside of PATH for a plain user.
has() { PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null; }

# missing prints the Debian packages of the programs that are not there.
missing() {
	local row
	for row in gcc:gcc git:git python3:python3 sshd:openssh-server prometheus:prometheus; do
		has "${row%%:*}" || printf '%s ' "${row#*:}"
	done
	# The race detector links against the C library.
	if has gcc && ! printf '#include <stdlib.h>\n' | gcc -E -x c - >/dev/null 2>&1; then
		printf 'libc6-dev '
	fi
}

need_tests() {
	local packages
	packages=$(missing)
	[ -n "$packages" ] || return 0
	case " $packages" in *" gcc "*) packages="$packages libc6-dev" ;; esac
	if [ "$(id -u)" = 0 ] && has apt-get; then
		say "installing for the tests: $packages"
		# shellcheck disable=SC2086 # a list of package names
		# RUNLEVEL=1 keeps Debian from starting a Prometheus that nobody asked for.
		{ apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages; } >&2 ||
			say "apt-get could not install them"
		packages=$(missing)
		[ -n "$packages" ] || return 0
	fi
	say "missing for the tests: $packages"
	say "install them, on Debian or Ubuntu: sudo apt-get install $packages"
	case " $packages" in
	*" gcc "* | *" libc6-dev "* | *" git "*)
		say "the tests can't run without: the race detector needs a C compiler, the ledger's tests need git"
		exit 1
		;;
	esac
	if [ "${CI:-}" = true ]; then
		say "CI=true: nothing may be skipped for want of a program"
		exit 1
	fi
	say "tests that need them are skipped"
}

# Tests fill small disks that they mount in namespaces of their own. A kernel without any has nothing to allow; root needs none of users.
need_mounts() {
	[ -e /proc/self/ns/user ] || return 0
	local flags=-Urm
	[ "$(id -u)" != 0 ] || flags=-m
	! unshare "$flags" mount -t tmpfs none . 2>/dev/null || return 0
	say "this login may not mount disks of its own (unshare $flags mount -t tmpfs none .), so full disks can't be tried"
	say "allow it: sysctl user.max_user_namespaces=10000, and where there are these kernel.unprivileged_userns_clone=1 and"
	say "kernel.apparmor_restrict_unprivileged_userns=0; in a container --security-opt seccomp=unconfined --cap-add SYS_ADMIN"
	if [ "${CI:-}" = true ]; then
		say "CI=true: nothing may be skipped for want of it"
		exit 1
	fi
	say "tests that need it are skipped"
}

need_go
case "${1:-go}" in
tests)
	need_tests
	need_mounts
	if ! (need_lab); then
		[ "${CI:-}" != true ] || exit 1
		say "tests of the lab are skipped"
	fi
	;;
lab) need_lab ;;
esac
