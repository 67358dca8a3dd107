# Shared by the scripts: they are run by sh with every value as an argument of its own, on Linux and on macOS.
set -u
LC_ALL=C
export LC_ALL

# record prints one record of four fields, each ended by a NUL byte.
record() { printf '%s\000%s\000%s\000%s\000' "$1" "${2-}" "${3-}" "${4-}"; }

# try_lock FD takes an exclusive lock on an open file, or fails at once. The lock ends with the last holder of the file.
try_lock() {
	if command -v flock >/dev/null 2>&1; then
		flock -x -n "$1"
	elif command -v perl >/dev/null 2>&1; then
		perl -e 'open(my $f, ">&=", $ARGV[0]) or exit 2; exit(flock($f, 6) ? 0 : 1)' "$1"
	else
		echo "neither flock (util-linux) nor perl is installed" >&2
		exit 80
	fi
}

# wait_lock FD waits for about ten seconds.
wait_lock() {
	tries=0
	until try_lock "$1"; do
		tries=$((tries + 1))
		[ "$tries" -lt 100 ] || return 1
		sleep 0.1 2>/dev/null || sleep 1
	done
}

# owner FILE prints who owns a file, and its mode.
owner() { ls -ldn -- "$1" | awk '{ print $1, $3, $4 }'; }

# flush FILE… writes files or folders through to the disk.
flush() { sync "$@" 2>/dev/null || sync; }
