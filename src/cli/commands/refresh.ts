import type { ConfigOptions } from '../config-options.ts';
import { addConfigOptions, loadCommandConfig } from '../config-options.ts';
import { shownPath } from '../format.ts';
import { nonEmpty } from '../options.ts';
import type { CommandModule, CommonOptions } from '../run.ts';
import { columns, renderRows } from '../summary.ts';
import type { Paint } from '../terminal.ts';
import type { RefreshReport } from '../../release/refresh.ts';

interface RefreshOptions extends CommonOptions, ConfigOptions {
  readonly output?: string;
}

export const command: CommandModule = {
  configure: (command, run) => {
    addConfigOptions(command)
      .option('-o, --output <dir>', "the release directory, instead of the configuration's", nonEmpty)
      .addHelpText(
        'after',
        `
Examples:
  $ treewright refresh
  $ treewright refresh --set signing.expires.timestamp=14d

Releases stay as they are. Needs the timestamp key; snapshot and targets are renewed when their keys are there,
else they must still be valid. Reads and writes the directory tuf/ alone: neither the build nor the OSTree
repository has to be there.`,
      )
      .action((options: RefreshOptions) =>
        run(options, async ({ events, now, checkpoint }) => {
          const config = await loadCommandConfig(options, events);
          const { refreshRelease } = await import('../../release/refresh.ts');
          const report = await refreshRelease({
            config,
            events,
            now,
            checkpoint,
            ...(options.output === undefined ? {} : { output: options.output }),
          });
          return { report, text: (paint) => refreshText(report, paint) };
        }),
      );
  },
};

function refreshText({ output, roles }: RefreshReport, paint: Paint): string {
  const rows = roles.map(({ role, version, expires, renewed }) => [
    role,
    `version ${String(version)}`,
    `until ${expires}`,
    ...(renewed ? [] : ['as it was: its key is not here']),
  ]);
  return [
    paint.green(paint.bold('metadata renewed')),
    renderRows(
      [
        ['roles', columns(rows)],
        ['output', shownPath(output)],
      ],
      paint,
    ),
  ].join('\n\n');
}
