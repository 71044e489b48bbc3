#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vm: --disk 96 --disk 104 --memory 1536 --kms --file /usr/lib/postgresql/15/bin/postgres:/usr/lib/postgresql/15/bin/postgres --file /usr/lib/postgresql/15/bin/initdb:/usr/lib/postgresql/15/bin/initdb --file /usr/lib/postgresql/15/bin/pg_ctl:/usr/lib/postgresql/15/bin/pg_ctl --file /usr/lib/postgresql/15/bin/psql:/usr/lib/postgresql/15/bin/psql --file /usr/lib/postgresql/15/bin/pgbench:/usr/lib/postgresql/15/bin/pgbench --file /usr/lib/postgresql/15/bin/pg_amcheck:/usr/lib/postgresql/15/bin/pg_amcheck --file /usr/lib/postgresql/15/bin/pg_checksums:/usr/lib/postgresql/15/bin/pg_checksums --file /usr/lib/postgresql/15/lib/amcheck.so:/usr/lib/postgresql/15/lib/amcheck.so --file /usr/lib/postgresql/15/lib/dict_snowball.so:/usr/lib/postgresql/15/lib/dict_snowball.so --file /usr/lib/postgresql/15/lib/plpgsql.so:/usr/lib/postgresql/15/lib/plpgsql.so --file /usr/share/postgresql/15:/usr/share/postgresql/15
# kernels: 6.12
# PostgreSQL on a volume: a snapshot of it at rest restores to the same bytes,
# and one that is taken while pgbench runs to a database that recovers, with
# every transaction that was committed before, and none by half.
. /test/vm/helpers/attach.bash

modprobe -a dm_snapshot ext4
export PATH=$PATH:/usr/lib/postgresql/15/bin
export PGUSER=bench PGDATABASE=postgres PGHOST=/run/pg
STORE=/run/store
mkdir -p "$STORE" /mnt /mnt2 /run/pg
chown 65534:65534 /run/pg

# snap VERB ARG...: with the store of this test.
snap()
{
	local verb=$1

	shift
	envelope-snapshot "$verb" --store "$STORE/s" "$@"
}

# id_in FILE: the snapshot's id in what create --json has printed.
id_in()
{
	sed -n 's/.*"snapshot_id": *"\([^"]*\)".*/\1/p' "$1"
}

# Its servers and their tools do not run as root.
as_user()
{
	setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
}

# umount flushes it.
make_database()
{
	install -d -o 65534 -g 65534 /mnt/pg || return
	TZ=GMT as_user initdb --no-sync --data-checksums -U bench -A trust \
		--locale C -E UTF8 --wal-segsize 1 -D /mnt/pg || return
	cat >> /mnt/pg/postgresql.conf <<-'CONF'
		listen_addresses = ''
		unix_socket_directories = '/run/pg'
		timezone = 'GMT'
		log_timezone = 'GMT'
		shared_buffers = 16MB
		min_wal_size = 2MB
		max_wal_size = 16MB
	CONF
}

# start FOLDER [OPTION...]: the server; what it says goes to /run/pg/log.
start()
{
	local folder=$1

	shift
	rm -f /run/pg/log
	as_user pg_ctl -D "$folder" -l /run/pg/log -t 300 "$@" -w start ||
		{ cat /run/pg/log; return 1; }
}

stop()
{
	as_user pg_ctl -D "$1" -t 300 -m fast -w stop
}

ask()
{
	psql -qAtX -c "$1"
}

transactions()
{
	ask "select count(*) from pgbench_history"
}

has_transactions()
{
	[ "$(transactions)" -ge "$1" ]
}

# Each transaction adds one amount to an account, a teller and a branch, and
# writes it down.
sums_agree()
{
	local sums

	sums=$(ask "select (select sum(abalance) from pgbench_accounts),
		(select sum(tbalance) from pgbench_tellers),
		(select sum(bbalance) from pgbench_branches),
		(select coalesce(sum(delta), 0) from pgbench_history)")
	echo "$sums"
	[[ $sums =~ ^(-?[0-9]+)\|(-?[0-9]+)\|(-?[0-9]+)\|(-?[0-9]+)$ ]] &&
		[ "${BASH_REMATCH[1]}" = "${BASH_REMATCH[2]}" ] &&
		[ "${BASH_REMATCH[1]}" = "${BASH_REMATCH[3]}" ] &&
		[ "${BASH_REMATCH[1]}" = "${BASH_REMATCH[4]}" ]
}

# Not only in sum: no account, and no teller, has another balance than its
# transactions, each of which is of a teller and an account that there are.
rows_agree()
{
	local wrong

	wrong=$(ask "select
		(select count(*) from pgbench_accounts a left join (select aid,
			sum(delta) d from pgbench_history group by aid) h using (aid)
			where abalance <> coalesce(d, 0)),
		(select count(*) from pgbench_tellers t left join (select tid,
			sum(delta) d from pgbench_history group by tid) h using (tid)
			where tbalance <> coalesce(d, 0)),
		(select count(*) from pgbench_history h
			where not exists (select from pgbench_accounts a
				where a.aid = h.aid) or not exists
				(select from pgbench_tellers t where t.tid = h.tid)),
		(select 100000 - count(*) from pgbench_accounts)")
	echo "$wrong"
	[ "$wrong" = "0|0|0|0" ]
}

# One round after the other, until there is a file /run/stop.
load()
{
	until [ -e /run/stop ]; do
		pgbench -n -c 4 -t 20 || return 1
	done
}

t "format" envelope format /dev/vda
t "attach" envelope attach --direct --allow-discards /dev/vda x
t "a file system" eval "mkfs.ext4 -qF /dev/mapper/x &&
	mount -o noatime /dev/mapper/x /mnt"
t "a database" make_database
t "PostgreSQL starts" start /mnt/pg --options="-c fsync=off"
t "pgbench fills it" pgbench -iqs 1
t "it has transactions" pgbench -n -c 2 -t 10
t "PostgreSQL stops" stop /mnt/pg
umount /mnt
SUM=$(sum_of /dev/mapper/x)
t "detach" envelope detach x

t "create: at rest" eval "snap create --json /dev/vda > $WORK/rest"
t "restore: at rest" snap restore "$(id_in "$WORK/rest")" /dev/vdb
t "restored: attached" envelope attach --direct /dev/vdb r
t "restored: the same bytes as the volume's" \
	[ "$(sum_of /dev/mapper/r)" = "$SUM" ]
t "restored: PostgreSQL starts" eval "mount /dev/mapper/r /mnt2 &&
	start /mnt2/pg"
t "restored: it has nothing to recover" eval \
	"! grep 'not properly shut down' /run/pg/log"
t "restored: each transaction is there" [ "$(transactions)" = 20 ]
t "restored: the sums agree" sums_agree
t "restored: PostgreSQL stops" stop /mnt2/pg
umount /mnt2
t "restored: detached" envelope detach r

t "attach again" envelope attach --direct --allow-discards /dev/vda x
t "PostgreSQL starts again" eval "mount -o noatime /dev/mapper/x /mnt &&
	start /mnt/pg"
load > "$WORK/load" 2>&1 &
LOAD=$!
t "pgbench runs" wait_until 300 has_transactions 60
BEFORE=$(transactions)
t "create: while it runs" eval "snap create --json x > $WORK/live"
AFTER=$(transactions)
t "pgbench runs on" wait_until 300 has_transactions $((AFTER + 40))
touch /run/stop
wait "$LOAD"
t_ok $? "pgbench has met no error"
t "nor has PostgreSQL" eval "! grep -E 'ERROR|FATAL|PANIC' /run/pg/log"
t "the sums agree" sums_agree
t "the rows agree" rows_agree
t "PostgreSQL stops then" stop /mnt/pg
t "each page has its checksum" as_user pg_checksums -c -D /mnt/pg
umount /mnt
t "detach then" envelope detach x

# Under another key, so that each block is another one than the volume's.
KEY=$(host aws create-key | sed -n 's/.*"Arn": *"\([^"]*\)".*/\1/p')
t "restore: what was taken while it ran" snap restore --force \
	--kms-key "$KEY" "$(id_in "$WORK/live")" /dev/vdb
t "of the moment: attached" eval \
	"[ $(key_of /dev/vdb) = $KEY ] && envelope attach --direct /dev/vdb r"
t "of the moment: PostgreSQL starts" eval "mount /dev/mapper/r /mnt2 &&
	start /mnt2/pg"
t "of the moment: it recovers" grep "redo done" /run/pg/log
THEN=$(transactions)
echo "# transactions: $BEFORE before, $THEN in the snapshot, $AFTER after"
t "of the moment: what was committed before is there, what came later is not" \
	[ "$BEFORE" -le "$THEN" -a "$THEN" -le "$AFTER" ]
t "of the moment: the sums agree" sums_agree
t "of the moment: the rows agree" rows_agree
t "of the moment: tables and indexes are whole" pg_amcheck --install-missing \
	-d postgres -t 'public.pgbench_*'
t "of the moment: pgbench runs on it" pgbench -n -c 4 -t 5
t "of the moment: the sums agree afterwards" sums_agree
t "of the moment: PostgreSQL stops" stop /mnt2/pg
t "of the moment: each page has its checksum" \
	as_user pg_checksums -c -D /mnt2/pg
umount /mnt2
t "of the moment: the file system is whole" e2fsck -fn /dev/mapper/r
t "of the moment: detached" envelope detach r
t "nothing is left" nothing_left
done_testing
