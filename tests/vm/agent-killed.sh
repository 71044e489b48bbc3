#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --disk 8 --kms
# kernels: 6.12
# The agent dies at each call of an attach and a detach that lasts (LONG=1; else
# at some of them, others each time), and the next one tidies up: no device,
# key or grant is left that is nobody's.
. /test/vm/helpers/attach.bash

STATE=/var/lib/envelope/agent
SEED=$((${SEED:-$RANDOM} % 12))
STEP=12
if [ -n "${LONG:-}" ]; then
	SEED=0
	STEP=1
fi
echo "# seed $SEED, every ${STEP}th call"

# No child works, once it has answered something.
is_idle()
{
	[ -z "$(cat "/proc/$AGENT/task/$AGENT/children" 2> /dev/null)" ]
}

start_agent()
{
	rm -f /run/envelope/agent.sock
	mkdir -p /run/envelope
	LD_PRELOAD=/usr/local/sbin/killat.so envelope-agent \
		>> "$WORK/agent.log" 2>&1 &
	AGENT=$!
	wait_until 120 test -S /run/envelope/agent.sock &&
		envelope list > /dev/null && wait_until 300 is_idle
}

lives()
{
	[ "$(sed -n 's/^State:\t\(.\).*/\1/p' "/proc/$AGENT/status" \
		2> /dev/null)" != Z ] && kill -0 "$AGENT" 2> /dev/null
}

# events NAME: events of that name that the KMS did not refuse.
events()
{
	host audit | grep "\"eventName\":\"$1\"" | grep -vc '"errorCode"'
}

grants()
{
	echo $(($(events CreateGrant) - $(events RetireGrant)))
}

no_grants()
{
	[ "$(grants)" -eq 0 ] && ! grep -q . "$STATE/grants" 2> /dev/null
}

no_volumes()
{
	grep -q '"volumes":\[\]' "$STATE/volumes.json" 2> /dev/null ||
		[ ! -e "$STATE/volumes.json" ]
}

all_gone()
{
	nothing_left && no_volumes && wait_until 300 no_grants
}

# A volume that stays has all that belongs to it, and goes as a whole.
stays_whole()
{
	grep -q '"stage":"attached"' "$STATE/volumes.json" && keys_left &&
		[ "$(grants)" -eq 1 ] && envelope status mine &&
		envelope detach mine
}

# killed N: attach and detach, with the agent dying at its Nth lasting call.
killed()
{
	echo "$1" > /run/kill-at
	envelope attach /dev/vda mine && envelope detach mine
	wait_until 300 eval 'is_idle || ! lives'
	rm -f /run/kill-at
	! lives
}

tidied_up()
{
	wait "$AGENT"
	start_agent || return 1
	if [ -n "$(dm_devices)" ]; then
		stays_whole || return 1
	fi
	all_gone
}

t "format" envelope format /dev/vda
ARN=$(host audit | sed -n 's/.*"arn":"\(arn:aws:iam::[^"]*\)".*/\1/p' |
	head -n 1)
# Grants have names of this machine.
echo 0123456789abcdef0123456789abcdef > /etc/machine-id
echo "host-principal = $ARN" >> /etc/envelope/envelope.conf
t "an agent" start_agent
t "attach" envelope attach /dev/vda mine
t "a grant is there" eval '[ "$(grants)" -eq 1 ]'
t "detach" envelope detach mine
t "and it is gone" all_gone

AT=$((SEED + 1))
while killed "$AT" > "$WORK/said" 2>&1; do
	t "killed at call $AT ($(sed -n 's/^killed at //p' "$WORK/agent.log" |
		tail -n 1)): the next one tidies up" tidied_up
	AT=$((AT + STEP))
	[ "$AT" -lt 200 ] || break
done
cp "$WORK/said" "$T_OUT"
t_ok "$((AT > 25 && AT < 200 ? 0 : 1))" "it dies until both run through"
t "and nothing is left" all_gone
kill "$AGENT"
wait "$AGENT"
done_testing
