import { printable, shownPath } from '../format.ts';
import { nonEmpty } from '../options.ts';
import type { CommandModule, CommonOptions } from '../run.ts';
import { nextStep, renderRows } from '../summary.ts';
import type { Paint } from '../terminal.ts';
import type { InitReport } from '../../release/init.ts';

interface InitOptions extends CommonOptions {
  readonly source?: string;
  readonly product?: string;
  readonly machine?: string;
  readonly force?: boolean;
}

export const command: CommandModule = {
  configure: (command, run) => {
    command
      .argument('[dir]', 'the folder of the product', nonEmpty, '.')
      .option('--source <path>', 'the build output, instead of looking for one', nonEmpty)
      .option('--product <name>', 'the product (default: the name of the folder)', nonEmpty)
      .option('--machine <name>', 'the hardware id (default: what the build says)', nonEmpty)
      .option('--force', 'replace an existing treewright.yaml; keys are never replaced')
      .addHelpText(
        'after',
        `
Examples:
  $ treewright init
  $ treewright init gateway --source build/tmp/deploy/images/verdin-imx8mm

Writes treewright.yaml, treewright.schema.json for editors, and ed25519 keys under keys/ (mode 0600).
With TREEWRIGHT_KEY_PASSPHRASE in the environment the keys are encrypted.`,
      )
      .action((dir: string, options: InitOptions) =>
        run(options, async ({ events }) => {
          const { initProject } = await import('../../release/init.ts');
          const { source, product, machine, force } = options;
          const report = await initProject({
            dir,
            events,
            ...(source === undefined ? {} : { source }),
            ...(product === undefined ? {} : { product }),
            ...(machine === undefined ? {} : { machine }),
            ...(force === undefined ? {} : { force }),
          });
          return { report, text: (paint) => initText(report, paint), brief: report.file };
        }),
      );
  },
};

function initText(report: InitReport, paint: Paint): string {
  const { file, schema, product, machine, machineKnown, source, keys } = report;
  const ready = source !== undefined && machineKnown;
  return [
    paint.green(paint.bold(printable(`${product} for ${machine}`))),
    renderRows(
      [
        [
          'source',
          source === undefined
            ? 'none found: set source: in the file'
            : `${source.kind}, ${shownPath(source.path)}`,
        ],
        ['machine', machineKnown ? machine : 'not known from the build: set machine: in the file'],
        ['written', [shownPath(file), shownPath(schema)]],
        [
          'keys',
          [
            ...(keys.made.length > 0 ? [`made: ${keys.made.join(', ')}`] : []),
            ...(keys.kept.length > 0 ? [`kept: ${keys.kept.join(', ')}`] : []),
            `in ${shownPath(keys.dir)}: back them up, keep *.key out of version control, and the root key off this machine`,
          ],
        ],
      ],
      paint,
    ),
    ready
      ? nextStep('treewright release', 'makes the first release', paint)
      : nextStep('edit treewright.yaml', 'then `treewright release` makes the first release', paint),
  ].join('\n\n');
}
