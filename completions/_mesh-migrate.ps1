
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
            [CompletionResult]::new('snapshot', 'snapshot', [CompletionResultType]::ParameterValue, 'Save what the program reads of a cluster to a file')
            [CompletionResult]::new('explain', 'explain', [CompletionResultType]::ParameterValue, 'Print the page of a rule or message, or list them all')
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
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'text, concise, json, sarif, junit, github or markdown; with =FILE to a file. Repeatable')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'text, concise, json, sarif, junit, github or markdown; with =FILE to a file. Repeatable')
            [CompletionResult]::new('--fail-on', '--fail-on', [CompletionResultType]::ParameterName, 'The severity from which on the exit code is 1')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours (NO_COLOR and CLICOLOR_FORCE count, too)')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Show what would be written')
            [CompletionResult]::new('--assume-services', '--assume-services', [CompletionResultType]::ParameterName, 'Take Services that rules name and files do not hold to exist')
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
            [CompletionResult]::new('snapshot', 'snapshot', [CompletionResultType]::ParameterValue, 'Save what the program reads of a cluster to a file')
            [CompletionResult]::new('explain', 'explain', [CompletionResultType]::ParameterValue, 'Print the page of a rule or message, or list them all')
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
        'mesh-migrate;help;snapshot' {
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
