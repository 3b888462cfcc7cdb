# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_mesh_migrate_global_optspecs
    string join \n q/quiet v/verbose color= no-progress h/help V/version
end

function __fish_mesh_migrate_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_mesh_migrate_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_mesh_migrate_using_subcommand
    set -l cmd (__fish_mesh_migrate_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c mesh-migrate -n "__fish_mesh_migrate_needs_command" -l color -d 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c mesh-migrate -n "__fish_mesh_migrate_needs_command" -s q -l quiet -d 'Only what is wrong, and the closing line'
complete -c mesh-migrate -n "__fish_mesh_migrate_needs_command" -s v -l verbose -d 'Also rules that passed or were not checked, and all of long lists'
complete -c mesh-migrate -n "__fish_mesh_migrate_needs_command" -l no-progress -d 'Do not show what is being done'
complete -c mesh-migrate -n "__fish_mesh_migrate_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh-migrate -n "__fish_mesh_migrate_needs_command" -s V -l version -d 'Print version'
complete -c mesh-migrate -n "__fish_mesh_migrate_needs_command" -f -a "precheck" -d 'Find what stands in the way of ambient mode'
complete -c mesh-migrate -n "__fish_mesh_migrate_needs_command" -f -a "convert" -d 'Rewrite the configuration that ambient mode reads differently'
complete -c mesh-migrate -n "__fish_mesh_migrate_needs_command" -f -a "snapshot" -d 'Save what the program reads of a cluster to a file'
complete -c mesh-migrate -n "__fish_mesh_migrate_needs_command" -f -a "explain" -d 'Print the page of a rule or message, or list them all'
complete -c mesh-migrate -n "__fish_mesh_migrate_needs_command" -f -a "completions" -d 'Print the completions of a shell'
complete -c mesh-migrate -n "__fish_mesh_migrate_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand precheck" -s f -l filename -d 'Read manifests from a file, a folder with everything below it, or standard input (-)' -r -F
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand precheck" -l context -d 'Read the cluster of this context of the kubeconfig [default: the current one]' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand precheck" -s n -l namespace -d 'Only answer for objects of this namespace; repeatable' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand precheck" -l snapshot -d 'Read a file that `mesh-migrate snapshot` saved' -r -F
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand precheck" -l sample -d 'Read a sample mesh that is inside the executable' -r -f -a "bookinfo\t'The bookshop of Istio\'s documentation, with policies'"
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand precheck" -s o -l output -d 'text, concise, json, sarif, junit, github or markdown; with =FILE to a file. Repeatable' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand precheck" -l fail-on -d 'The severity from which on the exit code is 1' -r -f -a "blocker\t'A blocker'
warning\t'A warning or a blocker'
info\t'Any finding'
never\t'Nothing'"
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand precheck" -l rules -d 'Also judge the rules in this folder; repeatable' -r -f -a "(__fish_complete_directories)"
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand precheck" -l color -d 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand precheck" -s q -l quiet -d 'Only what is wrong, and the closing line'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand precheck" -s v -l verbose -d 'Also rules that passed or were not checked, and all of long lists'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand precheck" -l no-progress -d 'Do not show what is being done'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand precheck" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand precheck" -s V -l version -d 'Print version'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand convert" -s f -l filename -d 'Read manifests from a file, a folder with everything below it, or standard input (-)' -r -F
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand convert" -l context -d 'Read the cluster of this context of the kubeconfig [default: the current one]' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand convert" -s n -l namespace -d 'Only answer for objects of this namespace; repeatable' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand convert" -l snapshot -d 'Read a file that `mesh-migrate snapshot` saved' -r -F
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand convert" -l sample -d 'Read a sample mesh that is inside the executable' -r -f -a "bookinfo\t'The bookshop of Istio\'s documentation, with policies'"
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand convert" -l output-dir -d 'Write the new objects below this folder, one file each' -r -f -a "(__fish_complete_directories)"
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand convert" -s o -l output -d 'text, concise, json, sarif, junit, github or markdown; with =FILE to a file. Repeatable' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand convert" -l fail-on -d 'The severity from which on the exit code is 1' -r -f -a "blocker\t'A blocker'
warning\t'A warning or a blocker'
info\t'Any finding'
never\t'Nothing'"
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand convert" -l color -d 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand convert" -l dry-run -d 'Show what would be written'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand convert" -l assume-services -d 'Take Services that rules name and files do not hold to exist'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand convert" -s q -l quiet -d 'Only what is wrong, and the closing line'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand convert" -s v -l verbose -d 'Also rules that passed or were not checked, and all of long lists'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand convert" -l no-progress -d 'Do not show what is being done'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand convert" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand convert" -s V -l version -d 'Print version'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand snapshot" -l context -d 'The context of the kubeconfig [default: the current one]' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand snapshot" -s n -l namespace -d 'Only this namespace; repeatable' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand snapshot" -s o -l output -d 'The file to write' -r -F
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand snapshot" -l color -d 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand snapshot" -s q -l quiet -d 'Only what is wrong, and the closing line'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand snapshot" -s v -l verbose -d 'Also rules that passed or were not checked, and all of long lists'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand snapshot" -l no-progress -d 'Do not show what is being done'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand snapshot" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand snapshot" -s V -l version -d 'Print version'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand explain" -l rules -d 'Also know the rules in this folder; repeatable' -r -f -a "(__fish_complete_directories)"
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand explain" -l color -d 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand explain" -s q -l quiet -d 'Only what is wrong, and the closing line'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand explain" -s v -l verbose -d 'Also rules that passed or were not checked, and all of long lists'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand explain" -l no-progress -d 'Do not show what is being done'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand explain" -s V -l version -d 'Print version'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand completions" -l color -d 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand completions" -s q -l quiet -d 'Only what is wrong, and the closing line'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand completions" -s v -l verbose -d 'Also rules that passed or were not checked, and all of long lists'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand completions" -l no-progress -d 'Do not show what is being done'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand completions" -s V -l version -d 'Print version'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand help; and not __fish_seen_subcommand_from precheck convert snapshot explain completions help" -f -a "precheck" -d 'Find what stands in the way of ambient mode'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand help; and not __fish_seen_subcommand_from precheck convert snapshot explain completions help" -f -a "convert" -d 'Rewrite the configuration that ambient mode reads differently'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand help; and not __fish_seen_subcommand_from precheck convert snapshot explain completions help" -f -a "snapshot" -d 'Save what the program reads of a cluster to a file'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand help; and not __fish_seen_subcommand_from precheck convert snapshot explain completions help" -f -a "explain" -d 'Print the page of a rule or message, or list them all'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand help; and not __fish_seen_subcommand_from precheck convert snapshot explain completions help" -f -a "completions" -d 'Print the completions of a shell'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand help; and not __fish_seen_subcommand_from precheck convert snapshot explain completions help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
