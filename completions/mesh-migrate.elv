
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
            cand snapshot 'Save what the program reads of a cluster to a file'
            cand explain 'Print the page of a rule or message, or list them all'
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
            cand -o 'text, concise, json, sarif, junit, github or markdown; with =FILE to a file. Repeatable'
            cand --output 'text, concise, json, sarif, junit, github or markdown; with =FILE to a file. Repeatable'
            cand --fail-on 'The severity from which on the exit code is 1'
            cand --color 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)'
            cand --dry-run 'Show what would be written'
            cand --assume-services 'Take Services that rules name and files do not hold to exist'
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
            cand snapshot 'Save what the program reads of a cluster to a file'
            cand explain 'Print the page of a rule or message, or list them all'
            cand completions 'Print the completions of a shell'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'mesh-migrate;help;precheck'= {
        }
        &'mesh-migrate;help;convert'= {
        }
        &'mesh-migrate;help;snapshot'= {
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
