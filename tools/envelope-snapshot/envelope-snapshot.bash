# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Completion of envelope-snapshot(8); options come from each verb's own --help.

_envelope_snapshot_verbs="create list show verify restore copy rewrap import
	export diff share delete gc clean"

_envelope_snapshot_reply()
{
	mapfile -t COMPREPLY < <(compgen "${@:2}" -- "$1")
}

# The ids in the store that the line names, or in the default one.
_envelope_snapshot_ids()
{
	local i store=()

	for ((i = 1; i < COMP_CWORD; i++)); do
		[[ ${COMP_WORDS[i]} != --store ]] ||
			store=(--store "${COMP_WORDS[i + 1]}")
	done
	"$1" list "${store[@]}" 2> /dev/null | sed 's/ .*//'
}

_envelope_snapshot()
{
	local word=$2 before=$3 verb=${COMP_WORDS[1]-} options

	if [ "$COMP_CWORD" -eq 1 ]; then
		_envelope_snapshot_reply "$word" \
			-W "$_envelope_snapshot_verbs --help --version"
		return
	fi
	case $before in
	--store|--to-store)
		_envelope_snapshot_reply "$word" -d
		return;;
	--header|--config|--ca-file|--source-config|--source-ca-file|\
	--store-ca-file|--to-ca-file)
		_envelope_snapshot_reply "$word" -f
		return;;
	--sector-size)
		_envelope_snapshot_reply "$word" -W "512 1024 2048 4096"
		return;;
	--kms-key|--context|--kms-endpoint|--profile|--region|--timeout|\
	--lease|--grace|--jobs|--limit|--volume|--lineage|--min-age|--slot|\
	--all-under|--principal|--cow|--source-endpoint|--source-profile|\
	--source-region|--store-endpoint|--store-region|--store-profile|\
	--to-endpoint|--to-region|--to-profile)
		COMPREPLY=()
		return;;
	esac
	if [[ $word == -* ]]; then
		options=$("$1" "$verb" --help 2> /dev/null |
			sed -n 's/^  \(--[a-z-]*\).*/\1/p')
		_envelope_snapshot_reply "$word" -W "$options"
		return
	fi
	case $verb in
	create|import)
		_envelope_snapshot_reply "$word" -f;;
	restore|export)
		_envelope_snapshot_reply "$word" -f \
			-W "$(_envelope_snapshot_ids "$1")";;
	list|gc|clean)
		COMPREPLY=();;
	*)
		_envelope_snapshot_reply "$word" \
			-W "$(_envelope_snapshot_ids "$1")";;
	esac
}

complete -o filenames -F _envelope_snapshot envelope-snapshot
