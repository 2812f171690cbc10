import { formatCount, plural, printable, shortChecksum } from '../format.ts';
import { nonEmpty } from '../options.ts';
import type { CommandModule, CommonOptions } from '../run.ts';
import { columns, renderRows } from '../summary.ts';
import type { Paint } from '../terminal.ts';
import type { VerifyReport } from '../../release/verify.ts';

interface VerifyOptions extends CommonOptions {
  readonly root?: string;
}

export const command: CommandModule = {
  configure: (command, run) => {
    command
      .argument('<location>', 'a release directory, or the URL of one', nonEmpty)
      .option('--root <file>', 'a root.json that is trusted already', nonEmpty)
      .addHelpText(
        'after',
        `
Examples:
  $ treewright verify ./release
  $ treewright verify https://updates.example.com/gateway --root trusted/1.root.json

Without --root the directory's own first root is believed: what is checked then is that everything fits
together, not who made it. Exit code 5 and the first broken thing when something is not right.`,
      )
      .action((location: string, options: VerifyOptions) =>
        run(options, async ({ events, now }) => {
          const { verifyRelease } = await import('../../release/verify.ts');
          const report = await verifyRelease({
            location,
            events,
            now,
            ...(options.root === undefined ? {} : { root: options.root }),
          });
          return { report, text: (paint) => verifyText(report, paint) };
        }),
      );
  },
};

function verifyText(report: VerifyReport, paint: Paint): string {
  const { location, product, machine, releases, root, expires } = report;
  const rows = releases.map(({ version, commit, objects, deltas, apps }) => [
    printable(version),
    shortChecksum(commit),
    `${formatCount(objects)} objects`,
    plural(deltas, 'delta'),
    plural(apps, 'app'),
  ]);
  return [
    `${paint.green(paint.bold('verified'))}: ${printable(`${product} for ${machine}`)}, ${plural(releases.length, 'release')} in ${printable(location)}`,
    renderRows(
      [
        ['releases', columns(rows, [2, 3, 4])],
        [
          'root',
          root.trusted
            ? `version ${root.version}, reached from the trusted one`
            : `version ${root.version}, believed as it is: give --root to check who signed`,
        ],
        ['expires', `${expires}, unless a release or a new signature comes before`],
      ],
      paint,
    ),
  ].join('\n\n');
}
