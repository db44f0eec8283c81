# bash completion for gantry: eval "$(gantry completion bash)"
_gantry() {
  local IFS=$'\n'
  COMPREPLY=($(gantry completion words "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
  [ ${#COMPREPLY[@]} -gt 0 ] || compopt -o default
}
complete -F _gantry gantry
