# SPDX-License-Identifier: GPL-2.0-or-later
# bash completion for envelope-kms

_envelope_kms()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
	local verb=${COMP_WORDS[1]} words=""

	case $prev in
	--host | --port | --region | --account | --on-demand-rotations)
		COMPREPLY=()
		return
		;;
	--client-ca | --test-clock-file | --seed)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	--from)
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		return
		;;
	--socket-mode)
		mapfile -t COMPREPLY < <(compgen -W "600 660 666" -- "$cur")
		return
		;;
	--listen)
		words="127.0.0.1 0.0.0.0 ::1 :: unix:"
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
		return
		;;
	esac
	if [ "$COMP_CWORD" -eq 1 ]; then
		words="init serve backup restore check audit identity policy-lint --help --version"
	elif [ "$verb" = identity ] && [ "$COMP_CWORD" -eq 2 ] &&
		[[ $cur != -* ]]; then
		words="create-account list-accounts delete-account create-user
			list-users delete-user create-role list-roles set-trust
			delete-role create-access-key list-access-keys
			deactivate-access-key activate-access-key
			delete-access-key attach-policy put-policy get-policy
			list-policies delete-policy"
	elif [[ $cur == -* ]]; then
		case $verb in
		init) words="--host --port --listen --region --account --test --seed" ;;
		identity) words="--account --user --role --trust --max-session --json --help" ;;
		policy-lint) words="--key --help" ;;
		audit) words="--key --json --help" ;;
		backup | check) words="--json --help" ;;
		restore) words="--from --json --help" ;;
		serve) words="--client-ca --journal --plain-http --socket-mode --digest-seconds --rate --listen --port --region --on-demand-rotations --test-clock-file" ;;
		esac
	elif [ "$verb" = backup ] || [ "$verb" = restore ]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
	else
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		return
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -F _envelope_kms envelope-kms
