import type { ExplainReport } from '../../release/explain.ts';
import { formatBytes, printable, shortChecksum } from '../format.ts';
import type { ConfigOptions } from '../config-options.ts';
import { addConfigOptions, loadCommandConfig } from '../config-options.ts';
import { nonEmpty } from '../options.ts';
import type { CommandModule, CommonOptions } from '../run.ts';
import { addCommonOptions } from '../run.ts';
import { renderRows } from '../summary.ts';
import type { Paint } from '../terminal.ts';

interface ExplainOptions extends CommonOptions, ConfigOptions {
  readonly release?: string;
  readonly version?: string;
}

type Boot = ExplainReport['boots'][number];

const EXAMPLES = `
Examples:
  $ treewright boot explain
  $ treewright boot explain --version 1.4.0 --json`;

export const command: CommandModule = {
  configure: (command, run) => {
    command.addHelpText('after', EXAMPLES);
    const explain = addConfigOptions(command.command('explain'))
      .summary('print what U-Boot will do for the first, the updated and the rolled-back boot')
      .description('Prints what U-Boot will do for the first, the updated and the rolled-back boot.')
      .option('--release <dir>', "the release directory, instead of the configuration's", nonEmpty)
      .option('--version <version>', 'the release, instead of the newest one', nonEmpty)
      .addHelpText('after', EXAMPLES);
    addCommonOptions(explain).action((options: ExplainOptions) =>
      run(options, async ({ events, now, checkpoint }) => {
        const config = await loadCommandConfig(options, events);
        checkpoint();
        const { explainRelease } = await import('../../release/explain.ts');
        const report = await explainRelease({
          config,
          events,
          now,
          ...(options.release === undefined ? {} : { release: options.release }),
          ...(options.version === undefined ? {} : { version: options.version }),
        });
        return { report, text: (paint) => explainText(report, paint) };
      }),
    );
  },
};

const TITLES: Readonly<Record<Boot['case'], string>> = {
  first: 'First boot of a new device',
  updated: 'First boot after an update',
  'rolled-back': 'Boot after the last attempt failed',
};

const COUNTING: Readonly<Record<ExplainReport['counting'], string>> = {
  script: 'by boot.scr',
  'u-boot': 'by U-Boot (CONFIG_BOOTCOUNT_LIMIT)',
  none: 'not counted',
};

function explainText(report: ExplainReport, paint: Paint): string {
  const { version, commit, previous, board, profile, counting, attempts, boots } = report;
  const from = previous === commit ? 'itself, since there is no earlier release' : shortChecksum(previous);
  return [
    `${paint.bold(printable(version))} on ${printable(board)}`,
    renderRows(
      [
        ['commit', commit],
        ['updated from', from],
        ['attempts', `${attempts}, ${COUNTING[counting]}`],
        ['variables', `of ${profile}`],
        ['fw_env.config', report.fwEnvConfig?.trimEnd().split('\n').slice(1)],
      ],
      paint,
    ),
    ...boots.map((boot) => bootText(boot, paint)),
  ].join('\n\n');
}

function bootText(boot: Boot, paint: Paint): string {
  const { version, commit, before, after, steps, loads, bootargs } = boot;
  const name = version === undefined ? shortChecksum(commit) : printable(version);
  const rows = renderRows(
    [
      ['before', state(before)],
      ['after', state(after)],
      [
        'files',
        loads.map(({ path, size }) => `${path}${size === undefined ? '' : ` (${formatBytes(size)})`}`),
      ],
      ['cmdline', printable(bootargs)],
    ],
    paint,
  );
  const numbered = steps.map((step, index) => `${String(index + 1).padStart(4)}. ${printable(step)}`);
  return [`${paint.bold(TITLES[boot.case])}: ${name} starts`, ...numbered, '', rows].join('\n');
}

function state(variables: Readonly<Record<string, string>>): string {
  return Object.entries(variables)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ');
}
