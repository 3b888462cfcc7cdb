
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'mesh-migrate' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'mesh-migrate'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'mesh-migrate' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Only what is wrong, and the closing line')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Only what is wrong, and the closing line')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Also rules that passed or were not checked, and all of long lists')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Also rules that passed or were not checked, and all of long lists')
            [CompletionResult]::new('--no-progress', '--no-progress', [CompletionResultType]::ParameterName, 'Do not show what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('precheck', 'precheck', [CompletionResultType]::ParameterValue, 'Find what stands in the way of ambient mode')
            [CompletionResult]::new('convert', 'convert', [CompletionResultType]::ParameterValue, 'Rewrite the configuration that ambient mode reads differently')
            [CompletionResult]::new('plan', 'plan', [CompletionResultType]::ParameterValue, 'Work out the steps in which the mesh moves, and prove each of them')
            [CompletionResult]::new('snapshot', 'snapshot', [CompletionResultType]::ParameterValue, 'Save what the program reads of a cluster to a file')
            [CompletionResult]::new('apply', 'apply', [CompletionResultType]::ParameterValue, 'Carry a plan out, step by step; go on with one that was stopped')
            [CompletionResult]::new('status', 'status', [CompletionResultType]::ParameterValue, 'Show where a plan stands, what is next, and what is waited for')
            [CompletionResult]::new('rollback', 'rollback', [CompletionResultType]::ParameterValue, 'Undo what was applied, back to the start or to a step')
            [CompletionResult]::new('payload', 'payload', [CompletionResultType]::ParameterValue, 'Take the data plane out of the executable: programs, images, manifests')
            [CompletionResult]::new('explain', 'explain', [CompletionResultType]::ParameterValue, 'Print the page of a rule or message, or what becomes of a kind or field')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print the completions of a shell')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'mesh-migrate;precheck' {
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'Read manifests from a file, a folder with everything below it, or standard input (-)')
            [CompletionResult]::new('--filename', '--filename', [CompletionResultType]::ParameterName, 'Read manifests from a file, a folder with everything below it, or standard input (-)')
            [CompletionResult]::new('--context', '--context', [CompletionResultType]::ParameterName, 'Read the cluster of this context of the kubeconfig [default: the current one]')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Only answer for objects of this namespace; repeatable')
            [CompletionResult]::new('--namespace', '--namespace', [CompletionResultType]::ParameterName, 'Only answer for objects of this namespace; repeatable')
            [CompletionResult]::new('--snapshot', '--snapshot', [CompletionResultType]::ParameterName, 'Read a file that `mesh-migrate snapshot` saved')
            [CompletionResult]::new('--sample', '--sample', [CompletionResultType]::ParameterName, 'Read a sample mesh that is inside the executable')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'text, concise, json, sarif, junit, github or markdown; with =FILE to a file. Repeatable')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'text, concise, json, sarif, junit, github or markdown; with =FILE to a file. Repeatable')
            [CompletionResult]::new('--fail-on', '--fail-on', [CompletionResultType]::ParameterName, 'The severity from which on the exit code is 1')
            [CompletionResult]::new('--rules', '--rules', [CompletionResultType]::ParameterName, 'Also judge the rules in this folder; repeatable')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Only what is wrong, and the closing line')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Only what is wrong, and the closing line')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Also rules that passed or were not checked, and all of long lists')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Also rules that passed or were not checked, and all of long lists')
            [CompletionResult]::new('--no-progress', '--no-progress', [CompletionResultType]::ParameterName, 'Do not show what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'mesh-migrate;convert' {
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'Read manifests from a file, a folder with everything below it, or standard input (-)')
            [CompletionResult]::new('--filename', '--filename', [CompletionResultType]::ParameterName, 'Read manifests from a file, a folder with everything below it, or standard input (-)')
            [CompletionResult]::new('--context', '--context', [CompletionResultType]::ParameterName, 'Read the cluster of this context of the kubeconfig [default: the current one]')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Only answer for objects of this namespace; repeatable')
            [CompletionResult]::new('--namespace', '--namespace', [CompletionResultType]::ParameterName, 'Only answer for objects of this namespace; repeatable')
            [CompletionResult]::new('--snapshot', '--snapshot', [CompletionResultType]::ParameterName, 'Read a file that `mesh-migrate snapshot` saved')
            [CompletionResult]::new('--sample', '--sample', [CompletionResultType]::ParameterName, 'Read a sample mesh that is inside the executable')
            [CompletionResult]::new('--output-dir', '--output-dir', [CompletionResultType]::ParameterName, 'Write the new objects below this folder, one file each')
            [CompletionResult]::new('--istio', '--istio', [CompletionResultType]::ParameterName, 'The release of Istio that reads the new objects, as 1.31; read from the input if it says so, else 1.30')
            [CompletionResult]::new('--gateway-api', '--gateway-api', [CompletionResultType]::ParameterName, 'The release of the Gateway API that holds them, as 1.4/standard, with /experimental for that channel; read from the input if it says so, else 1.4/standard')
            [CompletionResult]::new('--subsets', '--subsets', [CompletionResultType]::ParameterName, 'What becomes of rules that send requests to subsets')
            [CompletionResult]::new('--waypoint-per', '--waypoint-per', [CompletionResultType]::ParameterName, 'Make the waypoints that are needed and missing; nothing uses them before a label says so')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'text, concise, json, sarif, junit, github or markdown; with =FILE to a file. Repeatable')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'text, concise, json, sarif, junit, github or markdown; with =FILE to a file. Repeatable')
            [CompletionResult]::new('--fail-on', '--fail-on', [CompletionResultType]::ParameterName, 'The severity from which on the exit code is 1')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Show what would be written')
            [CompletionResult]::new('--in-place', '--in-place', [CompletionResultType]::ParameterName, 'Write the new objects into the files, each beside the one that it was made from; all other bytes stay')
            [CompletionResult]::new('--check', '--check', [CompletionResultType]::ParameterName, 'Write nothing, and end with exit code 1 if --in-place would change a file')
            [CompletionResult]::new('--assume-services', '--assume-services', [CompletionResultType]::ParameterName, 'Take Services that rules name and files do not hold to exist')
            [CompletionResult]::new('--ingress', '--ingress', [CompletionResultType]::ParameterName, 'Make Gateways and routes of the Gateway API of Istio''s Gateways and the VirtualServices for them')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Only what is wrong, and the closing line')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Only what is wrong, and the closing line')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Also rules that passed or were not checked, and all of long lists')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Also rules that passed or were not checked, and all of long lists')
            [CompletionResult]::new('--no-progress', '--no-progress', [CompletionResultType]::ParameterName, 'Do not show what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'mesh-migrate;plan' {
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'Read manifests from a file, a folder with everything below it, or standard input (-)')
            [CompletionResult]::new('--filename', '--filename', [CompletionResultType]::ParameterName, 'Read manifests from a file, a folder with everything below it, or standard input (-)')
            [CompletionResult]::new('--context', '--context', [CompletionResultType]::ParameterName, 'Read the cluster of this context of the kubeconfig [default: the current one]')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Only answer for objects of this namespace; repeatable')
            [CompletionResult]::new('--namespace', '--namespace', [CompletionResultType]::ParameterName, 'Only answer for objects of this namespace; repeatable')
            [CompletionResult]::new('--snapshot', '--snapshot', [CompletionResultType]::ParameterName, 'Read a file that `mesh-migrate snapshot` saved')
            [CompletionResult]::new('--sample', '--sample', [CompletionResultType]::ParameterName, 'Read a sample mesh that is inside the executable')
            [CompletionResult]::new('--data-plane', '--data-plane', [CompletionResultType]::ParameterName, 'Whose node proxies and CNI agent carry the moved pods')
            [CompletionResult]::new('--data-plane-manifests', '--data-plane-manifests', [CompletionResultType]::ParameterName, 'What `payload manifests` printed, for --data-plane mesh-proxy')
            [CompletionResult]::new('--witness', '--witness', [CompletionResultType]::ParameterName, 'Requests that must be answered as before after every step: commands in pods, in a file')
            [CompletionResult]::new('--accept-gap', '--accept-gap', [CompletionResultType]::ParameterName, 'Plan with this gap, which `apply` asks to be accepted again; repeatable')
            [CompletionResult]::new('--traffic', '--traffic', [CompletionResultType]::ParameterName, 'Calls that were seen: the answer of Prometheus to a query for istio_requests_total, in a file')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'text, yaml or json; with =FILE to a file. Repeatable')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'text, yaml or json; with =FILE to a file. Repeatable')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Only what is wrong, and the closing line')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Only what is wrong, and the closing line')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Also rules that passed or were not checked, and all of long lists')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Also rules that passed or were not checked, and all of long lists')
            [CompletionResult]::new('--no-progress', '--no-progress', [CompletionResultType]::ParameterName, 'Do not show what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'mesh-migrate;snapshot' {
            [CompletionResult]::new('--context', '--context', [CompletionResultType]::ParameterName, 'The context of the kubeconfig [default: the current one]')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'Only this namespace; repeatable')
            [CompletionResult]::new('--namespace', '--namespace', [CompletionResultType]::ParameterName, 'Only this namespace; repeatable')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'The file to write')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'The file to write')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Only what is wrong, and the closing line')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Only what is wrong, and the closing line')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Also rules that passed or were not checked, and all of long lists')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Also rules that passed or were not checked, and all of long lists')
            [CompletionResult]::new('--no-progress', '--no-progress', [CompletionResultType]::ParameterName, 'Do not show what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'mesh-migrate;apply' {
            [CompletionResult]::new('--until', '--until', [CompletionResultType]::ParameterName, 'Stop after this step')
            [CompletionResult]::new('--accept-gap', '--accept-gap', [CompletionResultType]::ParameterName, 'Take on this gap of the plan, or this step without a proof; repeatable')
            [CompletionResult]::new('--context', '--context', [CompletionResultType]::ParameterName, 'The context of the kubeconfig [default: the current one]')
            [CompletionResult]::new('--root-namespace', '--root-namespace', [CompletionResultType]::ParameterName, 'The namespace of the control plane, which holds the journal')
            [CompletionResult]::new('--step-timeout', '--step-timeout', [CompletionResultType]::ParameterName, 'How long a gate may take, such as 90s, 15m or 1h [default: 10m for pods, 3m for others]')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How it is told: lines of text, or one JSON object for each event')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How it is told: lines of text, or one JSON object for each event')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Answer every question beforehand')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Answer every question beforehand')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Only what is wrong, and the closing line')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Only what is wrong, and the closing line')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Also rules that passed or were not checked, and all of long lists')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Also rules that passed or were not checked, and all of long lists')
            [CompletionResult]::new('--no-progress', '--no-progress', [CompletionResultType]::ParameterName, 'Do not show what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'mesh-migrate;status' {
            [CompletionResult]::new('--context', '--context', [CompletionResultType]::ParameterName, 'The context of the kubeconfig [default: the current one]')
            [CompletionResult]::new('--root-namespace', '--root-namespace', [CompletionResultType]::ParameterName, 'The namespace of the control plane, which holds the journal')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'text or json')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'text or json')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Only what is wrong, and the closing line')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Only what is wrong, and the closing line')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Also rules that passed or were not checked, and all of long lists')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Also rules that passed or were not checked, and all of long lists')
            [CompletionResult]::new('--no-progress', '--no-progress', [CompletionResultType]::ParameterName, 'Do not show what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'mesh-migrate;rollback' {
            [CompletionResult]::new('--to', '--to', [CompletionResultType]::ParameterName, 'The last step that stays in effect [default: none]')
            [CompletionResult]::new('--context', '--context', [CompletionResultType]::ParameterName, 'The context of the kubeconfig [default: the current one]')
            [CompletionResult]::new('--root-namespace', '--root-namespace', [CompletionResultType]::ParameterName, 'The namespace of the control plane, which holds the journal')
            [CompletionResult]::new('--step-timeout', '--step-timeout', [CompletionResultType]::ParameterName, 'How long a gate may take, such as 90s, 15m or 1h [default: 10m for pods, 3m for others]')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How it is told: lines of text, or one JSON object for each event')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How it is told: lines of text, or one JSON object for each event')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Answer every question beforehand')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Answer every question beforehand')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Only what is wrong, and the closing line')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Only what is wrong, and the closing line')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Also rules that passed or were not checked, and all of long lists')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Also rules that passed or were not checked, and all of long lists')
            [CompletionResult]::new('--no-progress', '--no-progress', [CompletionResultType]::ParameterName, 'Do not show what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'mesh-migrate;payload' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Only what is wrong, and the closing line')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Only what is wrong, and the closing line')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Also rules that passed or were not checked, and all of long lists')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Also rules that passed or were not checked, and all of long lists')
            [CompletionResult]::new('--no-progress', '--no-progress', [CompletionResultType]::ParameterName, 'Do not show what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List the programs inside of the executable')
            [CompletionResult]::new('extract', 'extract', [CompletionResultType]::ParameterValue, 'Write the programs to files')
            [CompletionResult]::new('image', 'image', [CompletionResultType]::ParameterValue, 'Write images of the programs to an archive, or push them to a registry')
            [CompletionResult]::new('manifests', 'manifests', [CompletionResultType]::ParameterValue, 'Print the DaemonSets and roles that run the data plane')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'mesh-migrate;payload;list' {
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write it')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to write it')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Only what is wrong, and the closing line')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Only what is wrong, and the closing line')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Also rules that passed or were not checked, and all of long lists')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Also rules that passed or were not checked, and all of long lists')
            [CompletionResult]::new('--no-progress', '--no-progress', [CompletionResultType]::ParameterName, 'Do not show what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'mesh-migrate;payload;extract' {
            [CompletionResult]::new('--only', '--only', [CompletionResultType]::ParameterName, 'Only one of the programs')
            [CompletionResult]::new('--output-dir', '--output-dir', [CompletionResultType]::ParameterName, 'The folder to write them to')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Replace other files of these names')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Only what is wrong, and the closing line')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Only what is wrong, and the closing line')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Also rules that passed or were not checked, and all of long lists')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Also rules that passed or were not checked, and all of long lists')
            [CompletionResult]::new('--no-progress', '--no-progress', [CompletionResultType]::ParameterName, 'Do not show what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'mesh-migrate;payload;image' {
            [CompletionResult]::new('--only', '--only', [CompletionResultType]::ParameterName, 'Only one of the programs')
            [CompletionResult]::new('--hub', '--hub', [CompletionResultType]::ParameterName, 'The registry and path below which the images are: HUB/mesh-proxy:TAG and HUB/mesh-agent:TAG')
            [CompletionResult]::new('--tag', '--tag', [CompletionResultType]::ParameterName, 'The tag of the images')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'Write an OCI archive')
            [CompletionResult]::new('--username', '--username', [CompletionResultType]::ParameterName, 'The user''s name at the registry [default: from Docker''s configuration]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)')
            [CompletionResult]::new('--push', '--push', [CompletionResultType]::ParameterName, 'Push to the registry')
            [CompletionResult]::new('--password-stdin', '--password-stdin', [CompletionResultType]::ParameterName, 'Read the user''s password from standard input')
            [CompletionResult]::new('--plain-http', '--plain-http', [CompletionResultType]::ParameterName, 'Speak HTTP with the registry, not HTTPS')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Only what is wrong, and the closing line')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Only what is wrong, and the closing line')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Also rules that passed or were not checked, and all of long lists')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Also rules that passed or were not checked, and all of long lists')
            [CompletionResult]::new('--no-progress', '--no-progress', [CompletionResultType]::ParameterName, 'Do not show what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'mesh-migrate;payload;manifests' {
            [CompletionResult]::new('--only', '--only', [CompletionResultType]::ParameterName, 'Only one of the programs')
            [CompletionResult]::new('--hub', '--hub', [CompletionResultType]::ParameterName, 'The registry and path below which the images are: HUB/mesh-proxy:TAG and HUB/mesh-agent:TAG')
            [CompletionResult]::new('--tag', '--tag', [CompletionResultType]::ParameterName, 'The tag of the images')
            [CompletionResult]::new('--image', '--image', [CompletionResultType]::ParameterName, 'The one image, by tag or digest')
            [CompletionResult]::new('--image-pull-secret', '--image-pull-secret', [CompletionResultType]::ParameterName, 'The Secret with the registry''s credentials')
            [CompletionResult]::new('-n', '-n', [CompletionResultType]::ParameterName, 'The namespace of everything; istiod trusts proxies of istio-system and kube-system')
            [CompletionResult]::new('--namespace', '--namespace', [CompletionResultType]::ParameterName, 'The namespace of everything; istiod trusts proxies of istio-system and kube-system')
            [CompletionResult]::new('--revision', '--revision', [CompletionResultType]::ParameterName, 'The revision of istiod')
            [CompletionResult]::new('--istiod-address', '--istiod-address', [CompletionResultType]::ParameterName, 'Where istiod answers [default: istiod.NAMESPACE.svc:15012, or istiod-REVISION…]')
            [CompletionResult]::new('--cluster-id', '--cluster-id', [CompletionResultType]::ParameterName, 'The name that istiod has for the cluster [default: Kubernetes]')
            [CompletionResult]::new('--cluster-domain', '--cluster-domain', [CompletionResultType]::ParameterName, 'The domain of the cluster''s DNS [default: cluster.local]')
            [CompletionResult]::new('--network', '--network', [CompletionResultType]::ParameterName, 'The network of the cluster, in a mesh of several')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'How much the programs log [default: info]')
            [CompletionResult]::new('--cni-net-dir', '--cni-net-dir', [CompletionResultType]::ParameterName, 'The nodes'' folder of CNI configurations')
            [CompletionResult]::new('--cni-bin-dir', '--cni-bin-dir', [CompletionResultType]::ParameterName, 'The nodes'' folder of CNI programs')
            [CompletionResult]::new('--cni-conf-name', '--cni-conf-name', [CompletionResultType]::ParameterName, 'The CNI configuration that the nodes use [default: the first by name]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)')
            [CompletionResult]::new('--no-dns-capture', '--no-dns-capture', [CompletionResultType]::ParameterName, 'Leave the pods'' questions to DNS alone')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Only what is wrong, and the closing line')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Only what is wrong, and the closing line')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Also rules that passed or were not checked, and all of long lists')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Also rules that passed or were not checked, and all of long lists')
            [CompletionResult]::new('--no-progress', '--no-progress', [CompletionResultType]::ParameterName, 'Do not show what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'mesh-migrate;payload;help' {
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List the programs inside of the executable')
            [CompletionResult]::new('extract', 'extract', [CompletionResultType]::ParameterValue, 'Write the programs to files')
            [CompletionResult]::new('image', 'image', [CompletionResultType]::ParameterValue, 'Write images of the programs to an archive, or push them to a registry')
            [CompletionResult]::new('manifests', 'manifests', [CompletionResultType]::ParameterValue, 'Print the DaemonSets and roles that run the data plane')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'mesh-migrate;payload;help;list' {
            break
        }
        'mesh-migrate;payload;help;extract' {
            break
        }
        'mesh-migrate;payload;help;image' {
            break
        }
        'mesh-migrate;payload;help;manifests' {
            break
        }
        'mesh-migrate;payload;help;help' {
            break
        }
        'mesh-migrate;explain' {
            [CompletionResult]::new('--rules', '--rules', [CompletionResultType]::ParameterName, 'Also know the rules in this folder; repeatable')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Only what is wrong, and the closing line')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Only what is wrong, and the closing line')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Also rules that passed or were not checked, and all of long lists')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Also rules that passed or were not checked, and all of long lists')
            [CompletionResult]::new('--no-progress', '--no-progress', [CompletionResultType]::ParameterName, 'Do not show what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'mesh-migrate;completions' {
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Only what is wrong, and the closing line')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Only what is wrong, and the closing line')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Also rules that passed or were not checked, and all of long lists')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Also rules that passed or were not checked, and all of long lists')
            [CompletionResult]::new('--no-progress', '--no-progress', [CompletionResultType]::ParameterName, 'Do not show what is being done')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
        'mesh-migrate;help' {
            [CompletionResult]::new('precheck', 'precheck', [CompletionResultType]::ParameterValue, 'Find what stands in the way of ambient mode')
            [CompletionResult]::new('convert', 'convert', [CompletionResultType]::ParameterValue, 'Rewrite the configuration that ambient mode reads differently')
            [CompletionResult]::new('plan', 'plan', [CompletionResultType]::ParameterValue, 'Work out the steps in which the mesh moves, and prove each of them')
            [CompletionResult]::new('snapshot', 'snapshot', [CompletionResultType]::ParameterValue, 'Save what the program reads of a cluster to a file')
            [CompletionResult]::new('apply', 'apply', [CompletionResultType]::ParameterValue, 'Carry a plan out, step by step; go on with one that was stopped')
            [CompletionResult]::new('status', 'status', [CompletionResultType]::ParameterValue, 'Show where a plan stands, what is next, and what is waited for')
            [CompletionResult]::new('rollback', 'rollback', [CompletionResultType]::ParameterValue, 'Undo what was applied, back to the start or to a step')
            [CompletionResult]::new('payload', 'payload', [CompletionResultType]::ParameterValue, 'Take the data plane out of the executable: programs, images, manifests')
            [CompletionResult]::new('explain', 'explain', [CompletionResultType]::ParameterValue, 'Print the page of a rule or message, or what becomes of a kind or field')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print the completions of a shell')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'mesh-migrate;help;precheck' {
            break
        }
        'mesh-migrate;help;convert' {
            break
        }
        'mesh-migrate;help;plan' {
            break
        }
        'mesh-migrate;help;snapshot' {
            break
        }
        'mesh-migrate;help;apply' {
            break
        }
        'mesh-migrate;help;status' {
            break
        }
        'mesh-migrate;help;rollback' {
            break
        }
        'mesh-migrate;help;payload' {
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List the programs inside of the executable')
            [CompletionResult]::new('extract', 'extract', [CompletionResultType]::ParameterValue, 'Write the programs to files')
            [CompletionResult]::new('image', 'image', [CompletionResultType]::ParameterValue, 'Write images of the programs to an archive, or push them to a registry')
            [CompletionResult]::new('manifests', 'manifests', [CompletionResultType]::ParameterValue, 'Print the DaemonSets and roles that run the data plane')
            break
        }
        'mesh-migrate;help;payload;list' {
            break
        }
        'mesh-migrate;help;payload;extract' {
            break
        }
        'mesh-migrate;help;payload;image' {
            break
        }
        'mesh-migrate;help;payload;manifests' {
            break
        }
        'mesh-migrate;help;explain' {
            break
        }
        'mesh-migrate;help;completions' {
            break
        }
        'mesh-migrate;help;help' {
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
