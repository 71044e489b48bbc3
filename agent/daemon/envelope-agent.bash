# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Completion of envelope-agent(8); options come from its own --help.

_envelope_agent()
{
	local word=$2 before=$3

	case $before in
	--socket | --policy | --config)
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return
		;;
	--state)
		mapfile -t COMPREPLY < <(compgen -d -- "$word")
		return
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$("$1" --help 2> /dev/null |
		sed -n 's/^  \(--[a-z-]*\).*/\1/p')" -- "$word")
}

complete -o filenames -F _envelope_agent envelope-agent
