# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Completion of envelope(8); options come from each verb's own --help.

_envelope_verbs="format attach open detach close lock unlock renew status
	list inspect check rewrap resize header-backup header-restore erase export"

_envelope_reply()
{
	mapfile -t COMPREPLY < <(compgen "${@:2}" -- "$1")
}

_envelope_attached()
{
	"$1" list 2> /dev/null | sed -n 's|.*/dev/mapper/||p'
}

_envelope()
{
	local word=$2 before=$3 verb=${COMP_WORDS[1]-} options

	if [ "$COMP_CWORD" -eq 1 ]; then
		_envelope_reply "$word" -W "$_envelope_verbs --help --version"
		return
	fi
	case $before in
	--header|--config|--ca-file|--socket)
		_envelope_reply "$word" -f
		return;;
	--on-lock)
		_envelope_reply "$word" -W "queue error"
		return;;
	--target)
		_envelope_reply "$word" -W "envelope crypt"
		return;;
	--sector-size)
		_envelope_reply "$word" -W "512 1024 2048 4096"
		return;;
	--copy)
		_envelope_reply "$word" -W "A B"
		return;;
	--kms-key|--context|--size|--kms-endpoint|--profile|--region|\
	--timeout|--slot|--lease|--grace)
		COMPREPLY=()
		return;;
	esac
	if [[ $word == -* ]]; then
		options=$("$1" "$verb" --help 2> /dev/null |
			sed -n 's/^  \(--[a-z-]*\).*/\1/p')
		_envelope_reply "$word" -W "$options"
		return
	fi
	case $verb in
	detach|close|lock|unlock|renew|status|resize)
		_envelope_reply "$word" -f -W "$(_envelope_attached "$1")";;
	list)
		COMPREPLY=();;
	*)
		_envelope_reply "$word" -f;;
	esac
}

complete -o filenames -F _envelope envelope
