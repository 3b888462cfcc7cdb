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
complete -c mesh-migrate -n "__fish_mesh_migrate_needs_command" -f -a "plan" -d 'Work out the steps in which the mesh moves, and prove each of them'
complete -c mesh-migrate -n "__fish_mesh_migrate_needs_command" -f -a "snapshot" -d 'Save what the program reads of a cluster to a file'
complete -c mesh-migrate -n "__fish_mesh_migrate_needs_command" -f -a "apply" -d 'Carry a plan out, step by step; go on with one that was stopped'
complete -c mesh-migrate -n "__fish_mesh_migrate_needs_command" -f -a "status" -d 'Show where a plan stands, what is next, and what is waited for'
complete -c mesh-migrate -n "__fish_mesh_migrate_needs_command" -f -a "rollback" -d 'Undo what was applied, back to the start or to a step'
complete -c mesh-migrate -n "__fish_mesh_migrate_needs_command" -f -a "payload" -d 'Take the data plane out of the executable: programs, images, manifests'
complete -c mesh-migrate -n "__fish_mesh_migrate_needs_command" -f -a "explain" -d 'Print the page of a rule or message, or what becomes of a kind or field'
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
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand convert" -l istio -d 'The release of Istio that reads the new objects, as 1.31; read from the input if it says so, else 1.30' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand convert" -l gateway-api -d 'The release of the Gateway API that holds them, as 1.4/standard, with /experimental for that channel; read from the input if it says so, else 1.4/standard' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand convert" -l subsets -d 'What becomes of rules that send requests to subsets' -r -f -a "keep\t'Such a VirtualService stays with its DestinationRule; a waypoint reads both exactly as sidecars do'
services\t'Every subset that is used becomes a Service of its own, with a DestinationRule where the subset has a policy'"
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand convert" -l waypoint-per -d 'Make the waypoints that are needed and missing; nothing uses them before a label says so' -r -f -a "namespace\t'One for all Services of a namespace'
service\t'One for every Service that needs one'"
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand convert" -s o -l output -d 'text, concise, json, sarif, junit, github or markdown; with =FILE to a file. Repeatable' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand convert" -l fail-on -d 'The severity from which on the exit code is 1' -r -f -a "blocker\t'A blocker'
warning\t'A warning or a blocker'
info\t'Any finding'
never\t'Nothing'"
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand convert" -l color -d 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand convert" -l dry-run -d 'Show what would be written'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand convert" -l in-place -d 'Write the new objects into the files, each beside the one that it was made from; all other bytes stay'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand convert" -l check -d 'Write nothing, and end with exit code 1 if --in-place would change a file'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand convert" -l assume-services -d 'Take Services that rules name and files do not hold to exist'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand convert" -l ingress -d 'Make Gateways and routes of the Gateway API of Istio\'s Gateways and the VirtualServices for them'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand convert" -s q -l quiet -d 'Only what is wrong, and the closing line'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand convert" -s v -l verbose -d 'Also rules that passed or were not checked, and all of long lists'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand convert" -l no-progress -d 'Do not show what is being done'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand convert" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand convert" -s V -l version -d 'Print version'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand plan" -s f -l filename -d 'Read manifests from a file, a folder with everything below it, or standard input (-)' -r -F
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand plan" -l context -d 'Read the cluster of this context of the kubeconfig [default: the current one]' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand plan" -s n -l namespace -d 'Only answer for objects of this namespace; repeatable' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand plan" -l snapshot -d 'Read a file that `mesh-migrate snapshot` saved' -r -F
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand plan" -l sample -d 'Read a sample mesh that is inside the executable' -r -f -a "bookinfo\t'The bookshop of Istio\'s documentation, with policies'"
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand plan" -l data-plane -d 'Whose node proxies and CNI agent carry the moved pods' -r -f -a "stock\t'Istio\'s ztunnel and CNI node agent, which must be there already'
mesh-proxy\t'mesh-proxy and mesh-agent, which the first step rolls out'"
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand plan" -l data-plane-manifests -d 'What `payload manifests` printed, for --data-plane mesh-proxy' -r -F
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand plan" -l witness -d 'Requests that must be answered as before after every step: commands in pods, in a file' -r -F
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand plan" -l accept-gap -d 'Plan with this gap, which `apply` asks to be accepted again; repeatable' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand plan" -l traffic -d 'Calls that were seen: the answer of Prometheus to a query for istio_requests_total, in a file' -r -F
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand plan" -s o -l output -d 'text, yaml or json; with =FILE to a file. Repeatable' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand plan" -l color -d 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand plan" -s q -l quiet -d 'Only what is wrong, and the closing line'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand plan" -s v -l verbose -d 'Also rules that passed or were not checked, and all of long lists'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand plan" -l no-progress -d 'Do not show what is being done'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand plan" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand plan" -s V -l version -d 'Print version'
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
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand apply" -l until -d 'Stop after this step' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand apply" -l accept-gap -d 'Take on this gap of the plan, or this step without a proof; repeatable' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand apply" -l context -d 'The context of the kubeconfig [default: the current one]' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand apply" -l root-namespace -d 'The namespace of the control plane, which holds the journal' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand apply" -l step-timeout -d 'How long a gate may take, such as 90s, 15m or 1h [default: 10m for pods, 3m for others]' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand apply" -s o -l output -d 'How it is told: lines of text, or one JSON object for each event' -r -f -a "text\t'For a person'
jsonl\t'One JSON object for each event'"
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand apply" -l color -d 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand apply" -s y -l yes -d 'Answer every question beforehand'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand apply" -s q -l quiet -d 'Only what is wrong, and the closing line'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand apply" -s v -l verbose -d 'Also rules that passed or were not checked, and all of long lists'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand apply" -l no-progress -d 'Do not show what is being done'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand apply" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand apply" -s V -l version -d 'Print version'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand status" -l context -d 'The context of the kubeconfig [default: the current one]' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand status" -l root-namespace -d 'The namespace of the control plane, which holds the journal' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand status" -s o -l output -d 'text or json' -r -f -a "text\t'For a person'
json\t'One JSON object'"
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand status" -l color -d 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand status" -s q -l quiet -d 'Only what is wrong, and the closing line'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand status" -s v -l verbose -d 'Also rules that passed or were not checked, and all of long lists'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand status" -l no-progress -d 'Do not show what is being done'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand status" -s V -l version -d 'Print version'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand rollback" -l to -d 'The last step that stays in effect [default: none]' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand rollback" -l context -d 'The context of the kubeconfig [default: the current one]' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand rollback" -l root-namespace -d 'The namespace of the control plane, which holds the journal' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand rollback" -l step-timeout -d 'How long a gate may take, such as 90s, 15m or 1h [default: 10m for pods, 3m for others]' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand rollback" -s o -l output -d 'How it is told: lines of text, or one JSON object for each event' -r -f -a "text\t'For a person'
jsonl\t'One JSON object for each event'"
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand rollback" -l color -d 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand rollback" -s y -l yes -d 'Answer every question beforehand'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand rollback" -s q -l quiet -d 'Only what is wrong, and the closing line'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand rollback" -s v -l verbose -d 'Also rules that passed or were not checked, and all of long lists'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand rollback" -l no-progress -d 'Do not show what is being done'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand rollback" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand rollback" -s V -l version -d 'Print version'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and not __fish_seen_subcommand_from list extract image manifests help" -l color -d 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and not __fish_seen_subcommand_from list extract image manifests help" -s q -l quiet -d 'Only what is wrong, and the closing line'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and not __fish_seen_subcommand_from list extract image manifests help" -s v -l verbose -d 'Also rules that passed or were not checked, and all of long lists'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and not __fish_seen_subcommand_from list extract image manifests help" -l no-progress -d 'Do not show what is being done'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and not __fish_seen_subcommand_from list extract image manifests help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and not __fish_seen_subcommand_from list extract image manifests help" -s V -l version -d 'Print version'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and not __fish_seen_subcommand_from list extract image manifests help" -f -a "list" -d 'List the programs inside of the executable'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and not __fish_seen_subcommand_from list extract image manifests help" -f -a "extract" -d 'Write the programs to files'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and not __fish_seen_subcommand_from list extract image manifests help" -f -a "image" -d 'Write images of the programs to an archive, or push them to a registry'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and not __fish_seen_subcommand_from list extract image manifests help" -f -a "manifests" -d 'Print the DaemonSets and roles that run the data plane'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and not __fish_seen_subcommand_from list extract image manifests help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from list" -s o -l output -d 'How to write it' -r -f -a "text\t'A table'
json\t'JSON'"
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from list" -l color -d 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Only what is wrong, and the closing line'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Also rules that passed or were not checked, and all of long lists'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from list" -l no-progress -d 'Do not show what is being done'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from extract" -l only -d 'Only one of the programs' -r -f -a "proxy\t'mesh-proxy, in the place of ztunnel'
agent\t'mesh-agent, in the place of istio-cni'"
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from extract" -l output-dir -d 'The folder to write them to' -r -f -a "(__fish_complete_directories)"
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from extract" -l color -d 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from extract" -l force -d 'Replace other files of these names'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from extract" -s q -l quiet -d 'Only what is wrong, and the closing line'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from extract" -s v -l verbose -d 'Also rules that passed or were not checked, and all of long lists'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from extract" -l no-progress -d 'Do not show what is being done'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from extract" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from extract" -s V -l version -d 'Print version'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from image" -l only -d 'Only one of the programs' -r -f -a "proxy\t'mesh-proxy, in the place of ztunnel'
agent\t'mesh-agent, in the place of istio-cni'"
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from image" -l hub -d 'The registry and path below which the images are: HUB/mesh-proxy:TAG and HUB/mesh-agent:TAG' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from image" -l tag -d 'The tag of the images' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from image" -l output -d 'Write an OCI archive' -r -F
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from image" -l username -d 'The user\'s name at the registry [default: from Docker\'s configuration]' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from image" -l color -d 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from image" -l push -d 'Push to the registry'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from image" -l password-stdin -d 'Read the user\'s password from standard input'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from image" -l plain-http -d 'Speak HTTP with the registry, not HTTPS'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from image" -s q -l quiet -d 'Only what is wrong, and the closing line'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from image" -s v -l verbose -d 'Also rules that passed or were not checked, and all of long lists'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from image" -l no-progress -d 'Do not show what is being done'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from image" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from image" -s V -l version -d 'Print version'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from manifests" -l only -d 'Only one of the programs' -r -f -a "proxy\t'mesh-proxy, in the place of ztunnel'
agent\t'mesh-agent, in the place of istio-cni'"
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from manifests" -l hub -d 'The registry and path below which the images are: HUB/mesh-proxy:TAG and HUB/mesh-agent:TAG' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from manifests" -l tag -d 'The tag of the images' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from manifests" -l image -d 'The one image, by tag or digest' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from manifests" -l image-pull-secret -d 'The Secret with the registry\'s credentials' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from manifests" -s n -l namespace -d 'The namespace of everything; istiod trusts proxies of istio-system and kube-system' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from manifests" -l revision -d 'The revision of istiod' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from manifests" -l istiod-address -d 'Where istiod answers [default: istiod.NAMESPACE.svc:15012, or istiod-REVISION…]' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from manifests" -l cluster-id -d 'The name that istiod has for the cluster [default: Kubernetes]' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from manifests" -l cluster-domain -d 'The domain of the cluster\'s DNS [default: cluster.local]' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from manifests" -l network -d 'The network of the cluster, in a mesh of several' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from manifests" -l log-level -d 'How much the programs log [default: info]' -r -f -a "error\t'Only what fails'
warn\t'Also what may soon fail'
info\t'Also each connection (default)'
debug\t'Also how decisions were made'
trace\t'Everything'"
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from manifests" -l cni-net-dir -d 'The nodes\' folder of CNI configurations' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from manifests" -l cni-bin-dir -d 'The nodes\' folder of CNI programs' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from manifests" -l cni-conf-name -d 'The CNI configuration that the nodes use [default: the first by name]' -r
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from manifests" -l color -d 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)' -r -f -a "auto\t'On a terminal'
always\t'Always'
never\t'Never'"
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from manifests" -l no-dns-capture -d 'Leave the pods\' questions to DNS alone'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from manifests" -s q -l quiet -d 'Only what is wrong, and the closing line'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from manifests" -s v -l verbose -d 'Also rules that passed or were not checked, and all of long lists'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from manifests" -l no-progress -d 'Do not show what is being done'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from manifests" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from manifests" -s V -l version -d 'Print version'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the programs inside of the executable'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from help" -f -a "extract" -d 'Write the programs to files'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from help" -f -a "image" -d 'Write images of the programs to an archive, or push them to a registry'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from help" -f -a "manifests" -d 'Print the DaemonSets and roles that run the data plane'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand payload; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
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
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand help; and not __fish_seen_subcommand_from precheck convert plan snapshot apply status rollback payload explain completions help" -f -a "precheck" -d 'Find what stands in the way of ambient mode'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand help; and not __fish_seen_subcommand_from precheck convert plan snapshot apply status rollback payload explain completions help" -f -a "convert" -d 'Rewrite the configuration that ambient mode reads differently'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand help; and not __fish_seen_subcommand_from precheck convert plan snapshot apply status rollback payload explain completions help" -f -a "plan" -d 'Work out the steps in which the mesh moves, and prove each of them'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand help; and not __fish_seen_subcommand_from precheck convert plan snapshot apply status rollback payload explain completions help" -f -a "snapshot" -d 'Save what the program reads of a cluster to a file'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand help; and not __fish_seen_subcommand_from precheck convert plan snapshot apply status rollback payload explain completions help" -f -a "apply" -d 'Carry a plan out, step by step; go on with one that was stopped'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand help; and not __fish_seen_subcommand_from precheck convert plan snapshot apply status rollback payload explain completions help" -f -a "status" -d 'Show where a plan stands, what is next, and what is waited for'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand help; and not __fish_seen_subcommand_from precheck convert plan snapshot apply status rollback payload explain completions help" -f -a "rollback" -d 'Undo what was applied, back to the start or to a step'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand help; and not __fish_seen_subcommand_from precheck convert plan snapshot apply status rollback payload explain completions help" -f -a "payload" -d 'Take the data plane out of the executable: programs, images, manifests'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand help; and not __fish_seen_subcommand_from precheck convert plan snapshot apply status rollback payload explain completions help" -f -a "explain" -d 'Print the page of a rule or message, or what becomes of a kind or field'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand help; and not __fish_seen_subcommand_from precheck convert plan snapshot apply status rollback payload explain completions help" -f -a "completions" -d 'Print the completions of a shell'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand help; and not __fish_seen_subcommand_from precheck convert plan snapshot apply status rollback payload explain completions help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand help; and __fish_seen_subcommand_from payload" -f -a "list" -d 'List the programs inside of the executable'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand help; and __fish_seen_subcommand_from payload" -f -a "extract" -d 'Write the programs to files'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand help; and __fish_seen_subcommand_from payload" -f -a "image" -d 'Write images of the programs to an archive, or push them to a registry'
complete -c mesh-migrate -n "__fish_mesh_migrate_using_subcommand help; and __fish_seen_subcommand_from payload" -f -a "manifests" -d 'Print the DaemonSets and roles that run the data plane'
