# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Completion of envelope(8); options come from each verb's own --help.

_envelope_verbs="format attach open detach close lock unlock renew status
	events list inspect check rewrap slot recovery-key resize header-backup
	header-restore erase export default doctor audit lineage
	tab metrics"

_envelope_reply()
{
	mapfile -t COMPREPLY < <(compgen "${@:2}" -- "$1")
}

_envelope_attached()
{
	"$1" list 2> /dev/null | sed -n 's|.*/dev/mapper/||p'
}

_envelope_tab()
{
	"$1" tab list 2> /dev/null | sed 's/ .*//'
}

_envelope()
{
	local word=$2 before=$3 verb=${COMP_WORDS[1]-} options

	if [ "$COMP_CWORD" -eq 1 ]; then
		_envelope_reply "$word" -W "$_envelope_verbs --help --version"
		return
	fi
	case $before in
	--header|--config|--ca-file|--socket|--recovery-key|--output|--tab)
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
	--timeout|--slot|--lease|--grace|--head|--volume|--newest)
		COMPREPLY=()
		return;;
	esac
	if [[ $verb == slot && $COMP_CWORD -eq 2 ]]; then
		_envelope_reply "$word" -W "list add remove --help"
		return
	fi
	if [[ $verb == recovery-key && $COMP_CWORD -eq 2 ]]; then
		_envelope_reply "$word" -W "add --help"
		return
	fi
	if [[ $verb == tab && $COMP_CWORD -eq 2 ]]; then
		_envelope_reply "$word" -W "list check attach detach --help"
		return
	fi
	if [[ $word == -* ]]; then
		[[ $verb != slot && $verb != recovery-key && $verb != tab ]] ||
			verb="$verb ${COMP_WORDS[2]}"
		# shellcheck disable=SC2086 # two words are two arguments
		options=$("$1" $verb --help 2> /dev/null |
			sed -n 's/^  \(--[a-z-]*\).*/\1/p')
		_envelope_reply "$word" -W "$options"
		return
	fi
	case $verb in
	detach|close|lock|unlock|renew|status|resize|rewrap|slot)
		_envelope_reply "$word" -f -W "$(_envelope_attached "$1")";;
	tab)
		case ${COMP_WORDS[2]} in
		attach)
			_envelope_reply "$word" -W "$(_envelope_tab "$1")";;
		detach)
			_envelope_reply "$word" -W "$(_envelope_attached "$1")";;
		*)
			COMPREPLY=();;
		esac;;
	list|events|metrics)
		COMPREPLY=();;
	default)
		case $before in
		default)
			_envelope_reply "$word" -W "get enable disable key";;
		key)
			_envelope_reply "$word" -W "set reset";;
		*)
			COMPREPLY=();;
		esac;;
	audit)
		_envelope_reply "$word" -f -W "verify show";;
	*)
		_envelope_reply "$word" -f;;
	esac
}

complete -o filenames -F _envelope envelope
