
use builtin;
use str;

set edit:completion:arg-completer[mesh-migrate] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'mesh-migrate'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'mesh-migrate'= {
            cand --color 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)'
            cand -q 'Only what is wrong, and the closing line'
            cand --quiet 'Only what is wrong, and the closing line'
            cand -v 'Also rules that passed or were not checked, and all of long lists'
            cand --verbose 'Also rules that passed or were not checked, and all of long lists'
            cand --no-progress 'Do not show what is being done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
            cand precheck 'Find what stands in the way of ambient mode'
            cand convert 'Rewrite the configuration that ambient mode reads differently'
            cand plan 'Work out the steps in which the mesh moves, and prove each of them'
            cand snapshot 'Save what the program reads of a cluster to a file'
            cand apply 'Carry a plan out, step by step; go on with one that was stopped'
            cand status 'Show where a plan stands, what is next, and what is waited for'
            cand rollback 'Undo what was applied, back to the start or to a step'
            cand payload 'Take the data plane out of the executable: programs, images, manifests'
            cand explain 'Print the page of a rule or message, or what becomes of a kind or field'
            cand completions 'Print the completions of a shell'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'mesh-migrate;precheck'= {
            cand -f 'Read manifests from a file, a folder with everything below it, or standard input (-)'
            cand --filename 'Read manifests from a file, a folder with everything below it, or standard input (-)'
            cand --context 'Read the cluster of this context of the kubeconfig [default: the current one]'
            cand -n 'Only answer for objects of this namespace; repeatable'
            cand --namespace 'Only answer for objects of this namespace; repeatable'
            cand --snapshot 'Read a file that `mesh-migrate snapshot` saved'
            cand --sample 'Read a sample mesh that is inside the executable'
            cand -o 'text, concise, json, sarif, junit, github or markdown; with =FILE to a file. Repeatable'
            cand --output 'text, concise, json, sarif, junit, github or markdown; with =FILE to a file. Repeatable'
            cand --fail-on 'The severity from which on the exit code is 1'
            cand --rules 'Also judge the rules in this folder; repeatable'
            cand --color 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)'
            cand -q 'Only what is wrong, and the closing line'
            cand --quiet 'Only what is wrong, and the closing line'
            cand -v 'Also rules that passed or were not checked, and all of long lists'
            cand --verbose 'Also rules that passed or were not checked, and all of long lists'
            cand --no-progress 'Do not show what is being done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
        }
        &'mesh-migrate;convert'= {
            cand -f 'Read manifests from a file, a folder with everything below it, or standard input (-)'
            cand --filename 'Read manifests from a file, a folder with everything below it, or standard input (-)'
            cand --context 'Read the cluster of this context of the kubeconfig [default: the current one]'
            cand -n 'Only answer for objects of this namespace; repeatable'
            cand --namespace 'Only answer for objects of this namespace; repeatable'
            cand --snapshot 'Read a file that `mesh-migrate snapshot` saved'
            cand --sample 'Read a sample mesh that is inside the executable'
            cand --output-dir 'Write the new objects below this folder, one file each'
            cand --istio 'The release of Istio that reads the new objects, as 1.31; read from the input if it says so, else 1.30'
            cand --gateway-api 'The release of the Gateway API that holds them, as 1.4/standard, with /experimental for that channel; read from the input if it says so, else 1.4/standard'
            cand --subsets 'What becomes of rules that send requests to subsets'
            cand --waypoint-per 'Make the waypoints that are needed and missing; nothing uses them before a label says so'
            cand -o 'text, concise, json, sarif, junit, github or markdown; with =FILE to a file. Repeatable'
            cand --output 'text, concise, json, sarif, junit, github or markdown; with =FILE to a file. Repeatable'
            cand --fail-on 'The severity from which on the exit code is 1'
            cand --color 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)'
            cand --dry-run 'Show what would be written'
            cand --in-place 'Write the new objects into the files, each beside the one that it was made from; all other bytes stay'
            cand --check 'Write nothing, and end with exit code 1 if --in-place would change a file'
            cand --assume-services 'Take Services that rules name and files do not hold to exist'
            cand --ingress 'Make Gateways and routes of the Gateway API of Istio''s Gateways and the VirtualServices for them'
            cand -q 'Only what is wrong, and the closing line'
            cand --quiet 'Only what is wrong, and the closing line'
            cand -v 'Also rules that passed or were not checked, and all of long lists'
            cand --verbose 'Also rules that passed or were not checked, and all of long lists'
            cand --no-progress 'Do not show what is being done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
        }
        &'mesh-migrate;plan'= {
            cand -f 'Read manifests from a file, a folder with everything below it, or standard input (-)'
            cand --filename 'Read manifests from a file, a folder with everything below it, or standard input (-)'
            cand --context 'Read the cluster of this context of the kubeconfig [default: the current one]'
            cand -n 'Only answer for objects of this namespace; repeatable'
            cand --namespace 'Only answer for objects of this namespace; repeatable'
            cand --snapshot 'Read a file that `mesh-migrate snapshot` saved'
            cand --sample 'Read a sample mesh that is inside the executable'
            cand --data-plane 'Whose node proxies and CNI agent carry the moved pods'
            cand --data-plane-manifests 'What `payload manifests` printed, for --data-plane mesh-proxy'
            cand --witness 'Requests that must be answered as before after every step: commands in pods, in a file'
            cand --accept-gap 'Plan with this gap, which `apply` asks to be accepted again; repeatable'
            cand --traffic 'Calls that were seen: the answer of Prometheus to a query for istio_requests_total, in a file'
            cand -o 'text, yaml or json; with =FILE to a file. Repeatable'
            cand --output 'text, yaml or json; with =FILE to a file. Repeatable'
            cand --color 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)'
            cand -q 'Only what is wrong, and the closing line'
            cand --quiet 'Only what is wrong, and the closing line'
            cand -v 'Also rules that passed or were not checked, and all of long lists'
            cand --verbose 'Also rules that passed or were not checked, and all of long lists'
            cand --no-progress 'Do not show what is being done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
        }
        &'mesh-migrate;snapshot'= {
            cand --context 'The context of the kubeconfig [default: the current one]'
            cand -n 'Only this namespace; repeatable'
            cand --namespace 'Only this namespace; repeatable'
            cand -o 'The file to write'
            cand --output 'The file to write'
            cand --color 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)'
            cand -q 'Only what is wrong, and the closing line'
            cand --quiet 'Only what is wrong, and the closing line'
            cand -v 'Also rules that passed or were not checked, and all of long lists'
            cand --verbose 'Also rules that passed or were not checked, and all of long lists'
            cand --no-progress 'Do not show what is being done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
        }
        &'mesh-migrate;apply'= {
            cand --until 'Stop after this step'
            cand --accept-gap 'Take on this gap of the plan, or this step without a proof; repeatable'
            cand --context 'The context of the kubeconfig [default: the current one]'
            cand --root-namespace 'The namespace of the control plane, which holds the journal'
            cand --step-timeout 'How long a gate may take, such as 90s, 15m or 1h [default: 10m for pods, 3m for others]'
            cand -o 'How it is told: lines of text, or one JSON object for each event'
            cand --output 'How it is told: lines of text, or one JSON object for each event'
            cand --color 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)'
            cand -y 'Answer every question beforehand'
            cand --yes 'Answer every question beforehand'
            cand -q 'Only what is wrong, and the closing line'
            cand --quiet 'Only what is wrong, and the closing line'
            cand -v 'Also rules that passed or were not checked, and all of long lists'
            cand --verbose 'Also rules that passed or were not checked, and all of long lists'
            cand --no-progress 'Do not show what is being done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
        }
        &'mesh-migrate;status'= {
            cand --context 'The context of the kubeconfig [default: the current one]'
            cand --root-namespace 'The namespace of the control plane, which holds the journal'
            cand -o 'text or json'
            cand --output 'text or json'
            cand --color 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)'
            cand -q 'Only what is wrong, and the closing line'
            cand --quiet 'Only what is wrong, and the closing line'
            cand -v 'Also rules that passed or were not checked, and all of long lists'
            cand --verbose 'Also rules that passed or were not checked, and all of long lists'
            cand --no-progress 'Do not show what is being done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
        }
        &'mesh-migrate;rollback'= {
            cand --to 'The last step that stays in effect [default: none]'
            cand --context 'The context of the kubeconfig [default: the current one]'
            cand --root-namespace 'The namespace of the control plane, which holds the journal'
            cand --step-timeout 'How long a gate may take, such as 90s, 15m or 1h [default: 10m for pods, 3m for others]'
            cand -o 'How it is told: lines of text, or one JSON object for each event'
            cand --output 'How it is told: lines of text, or one JSON object for each event'
            cand --color 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)'
            cand -y 'Answer every question beforehand'
            cand --yes 'Answer every question beforehand'
            cand -q 'Only what is wrong, and the closing line'
            cand --quiet 'Only what is wrong, and the closing line'
            cand -v 'Also rules that passed or were not checked, and all of long lists'
            cand --verbose 'Also rules that passed or were not checked, and all of long lists'
            cand --no-progress 'Do not show what is being done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
        }
        &'mesh-migrate;payload'= {
            cand --color 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)'
            cand -q 'Only what is wrong, and the closing line'
            cand --quiet 'Only what is wrong, and the closing line'
            cand -v 'Also rules that passed or were not checked, and all of long lists'
            cand --verbose 'Also rules that passed or were not checked, and all of long lists'
            cand --no-progress 'Do not show what is being done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
            cand list 'List the programs inside of the executable'
            cand extract 'Write the programs to files'
            cand image 'Write images of the programs to an archive, or push them to a registry'
            cand manifests 'Print the DaemonSets and roles that run the data plane'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'mesh-migrate;payload;list'= {
            cand -o 'How to write it'
            cand --output 'How to write it'
            cand --color 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)'
            cand -q 'Only what is wrong, and the closing line'
            cand --quiet 'Only what is wrong, and the closing line'
            cand -v 'Also rules that passed or were not checked, and all of long lists'
            cand --verbose 'Also rules that passed or were not checked, and all of long lists'
            cand --no-progress 'Do not show what is being done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
        }
        &'mesh-migrate;payload;extract'= {
            cand --only 'Only one of the programs'
            cand --output-dir 'The folder to write them to'
            cand --color 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)'
            cand --force 'Replace other files of these names'
            cand -q 'Only what is wrong, and the closing line'
            cand --quiet 'Only what is wrong, and the closing line'
            cand -v 'Also rules that passed or were not checked, and all of long lists'
            cand --verbose 'Also rules that passed or were not checked, and all of long lists'
            cand --no-progress 'Do not show what is being done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
        }
        &'mesh-migrate;payload;image'= {
            cand --only 'Only one of the programs'
            cand --hub 'The registry and path below which the images are: HUB/mesh-proxy:TAG and HUB/mesh-agent:TAG'
            cand --tag 'The tag of the images'
            cand --output 'Write an OCI archive'
            cand --username 'The user''s name at the registry [default: from Docker''s configuration]'
            cand --color 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)'
            cand --push 'Push to the registry'
            cand --password-stdin 'Read the user''s password from standard input'
            cand --plain-http 'Speak HTTP with the registry, not HTTPS'
            cand -q 'Only what is wrong, and the closing line'
            cand --quiet 'Only what is wrong, and the closing line'
            cand -v 'Also rules that passed or were not checked, and all of long lists'
            cand --verbose 'Also rules that passed or were not checked, and all of long lists'
            cand --no-progress 'Do not show what is being done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
        }
        &'mesh-migrate;payload;manifests'= {
            cand --only 'Only one of the programs'
            cand --hub 'The registry and path below which the images are: HUB/mesh-proxy:TAG and HUB/mesh-agent:TAG'
            cand --tag 'The tag of the images'
            cand --image 'The one image, by tag or digest'
            cand --image-pull-secret 'The Secret with the registry''s credentials'
            cand -n 'The namespace of everything; istiod trusts proxies of istio-system and kube-system'
            cand --namespace 'The namespace of everything; istiod trusts proxies of istio-system and kube-system'
            cand --revision 'The revision of istiod'
            cand --istiod-address 'Where istiod answers [default: istiod.NAMESPACE.svc:15012, or istiod-REVISION…]'
            cand --cluster-id 'The name that istiod has for the cluster [default: Kubernetes]'
            cand --cluster-domain 'The domain of the cluster''s DNS [default: cluster.local]'
            cand --network 'The network of the cluster, in a mesh of several'
            cand --log-level 'How much the programs log [default: info]'
            cand --cni-net-dir 'The nodes'' folder of CNI configurations'
            cand --cni-bin-dir 'The nodes'' folder of CNI programs'
            cand --cni-conf-name 'The CNI configuration that the nodes use [default: the first by name]'
            cand --color 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)'
            cand --no-dns-capture 'Leave the pods'' questions to DNS alone'
            cand -q 'Only what is wrong, and the closing line'
            cand --quiet 'Only what is wrong, and the closing line'
            cand -v 'Also rules that passed or were not checked, and all of long lists'
            cand --verbose 'Also rules that passed or were not checked, and all of long lists'
            cand --no-progress 'Do not show what is being done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
        }
        &'mesh-migrate;payload;help'= {
            cand list 'List the programs inside of the executable'
            cand extract 'Write the programs to files'
            cand image 'Write images of the programs to an archive, or push them to a registry'
            cand manifests 'Print the DaemonSets and roles that run the data plane'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'mesh-migrate;payload;help;list'= {
        }
        &'mesh-migrate;payload;help;extract'= {
        }
        &'mesh-migrate;payload;help;image'= {
        }
        &'mesh-migrate;payload;help;manifests'= {
        }
        &'mesh-migrate;payload;help;help'= {
        }
        &'mesh-migrate;explain'= {
            cand --rules 'Also know the rules in this folder; repeatable'
            cand --color 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)'
            cand -q 'Only what is wrong, and the closing line'
            cand --quiet 'Only what is wrong, and the closing line'
            cand -v 'Also rules that passed or were not checked, and all of long lists'
            cand --verbose 'Also rules that passed or were not checked, and all of long lists'
            cand --no-progress 'Do not show what is being done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
        }
        &'mesh-migrate;completions'= {
            cand --color 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)'
            cand -q 'Only what is wrong, and the closing line'
            cand --quiet 'Only what is wrong, and the closing line'
            cand -v 'Also rules that passed or were not checked, and all of long lists'
            cand --verbose 'Also rules that passed or were not checked, and all of long lists'
            cand --no-progress 'Do not show what is being done'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
        }
        &'mesh-migrate;help'= {
            cand precheck 'Find what stands in the way of ambient mode'
            cand convert 'Rewrite the configuration that ambient mode reads differently'
            cand plan 'Work out the steps in which the mesh moves, and prove each of them'
            cand snapshot 'Save what the program reads of a cluster to a file'
            cand apply 'Carry a plan out, step by step; go on with one that was stopped'
            cand status 'Show where a plan stands, what is next, and what is waited for'
            cand rollback 'Undo what was applied, back to the start or to a step'
            cand payload 'Take the data plane out of the executable: programs, images, manifests'
            cand explain 'Print the page of a rule or message, or what becomes of a kind or field'
            cand completions 'Print the completions of a shell'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'mesh-migrate;help;precheck'= {
        }
        &'mesh-migrate;help;convert'= {
        }
        &'mesh-migrate;help;plan'= {
        }
        &'mesh-migrate;help;snapshot'= {
        }
        &'mesh-migrate;help;apply'= {
        }
        &'mesh-migrate;help;status'= {
        }
        &'mesh-migrate;help;rollback'= {
        }
        &'mesh-migrate;help;payload'= {
            cand list 'List the programs inside of the executable'
            cand extract 'Write the programs to files'
            cand image 'Write images of the programs to an archive, or push them to a registry'
            cand manifests 'Print the DaemonSets and roles that run the data plane'
        }
        &'mesh-migrate;help;payload;list'= {
        }
        &'mesh-migrate;help;payload;extract'= {
        }
        &'mesh-migrate;help;payload;image'= {
        }
        &'mesh-migrate;help;payload;manifests'= {
        }
        &'mesh-migrate;help;explain'= {
        }
        &'mesh-migrate;help;completions'= {
        }
        &'mesh-migrate;help;help'= {
        }
    ]
    $completions[$command]
}
