# Interactive shells of a desktop.
case $- in *i*) ;; *) return ;; esac
PS1='\[\e[1;36m\]\W\[\e[0m\] \[\e[1;34m\]❯\[\e[0m\] '
HISTSIZE=2000
shopt -s checkwinsize
alias ls='ls --color=auto' ll='ls -l' grep='grep --color=auto'
