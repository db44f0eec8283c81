# fish completion for gantry: gantry completion fish | source
complete -c gantry -f -a '(gantry completion words (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
