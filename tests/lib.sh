# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# TAP for shell tests: source it, call t*, end with done_testing.

T_COUNT=0
T_FAILED=0
T_OUT=$(mktemp)
trap 'rm -f "$T_OUT"' EXIT

# t_ok STATUS NAME: report one result; on failure, show what was printed.
t_ok()
{
	T_COUNT=$((T_COUNT + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $T_COUNT - $2"
	else
		T_FAILED=$((T_FAILED + 1))
		echo "not ok $T_COUNT - $2"
		sed 's/^/#   /' "$T_OUT" | tail -n 30
	fi
	: > "$T_OUT"
}

# t NAME COMMAND...: passes when the command succeeds.
t()
{
	local name=$1 rc=0

	shift
	"$@" > "$T_OUT" 2>&1 || rc=$?
	[ $rc -eq 0 ] || echo "exit status $rc: $*" >> "$T_OUT"
	t_ok "$rc" "$name"
}

# t_fails STATUS NAME COMMAND...: passes when it ends with just that status.
t_fails()
{
	local want=$1 name=$2 rc=0

	shift 2
	"$@" > "$T_OUT" 2>&1 || rc=$?
	[ $rc -eq "$want" ] || echo "exit status $rc, not $want: $*" >> "$T_OUT"
	t_ok "$((rc == want ? 0 : 1))" "$name"
}

# t_says STATUS NAME REGEX COMMAND...: that status, and a line that matches.
t_says()
{
	local want=$1 name=$2 regex=$3 rc=0 good=1

	shift 3
	"$@" > "$T_OUT" 2>&1 || rc=$?
	if [ $rc -eq "$want" ] && grep -qE -- "$regex" "$T_OUT"; then
		good=0
	else
		echo "exit status $rc (want $want), want /$regex/: $*" >> "$T_OUT"
	fi
	t_ok $good "$name"
}

# wait_until SECONDS COMMAND...: poll until it succeeds; bounded.
wait_until()
{
	local end=$((SECONDS + $1))

	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.1
	done
}

done_testing()
{
	echo "1..$T_COUNT"
	[ $T_FAILED -eq 0 ]
}
